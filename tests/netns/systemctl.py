#!/usr/bin/env python3
"""In the place of systemctl where no systemd runs: starts what a unit's ExecStart says, as
its User with its capabilities, and waits until it is ready.

usage: systemctl VERB UNIT ...    start stop restart reload enable disable is-active
                                  daemon-reload; kill --kill-whom=main --signal=USR2

Drop-ins are read.  What systemd alone can do (the sandbox, limits, watchdog) is left out.
Pids and output are kept in /run/units, so each mount namespace has its own."""
import glob
import os
import signal
import socket
import subprocess
import sys
import time

FOLDERS = ["/etc/systemd/system", "/usr/local/lib/systemd/system", "/lib/systemd/system"]
PROGRAMS = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin"]
KEPT = "/run/units"
PATIENCE = 60


def read(unit):
    """The last value of each key of [Service]; an empty one takes back those before."""
    name, _, instance = unit.partition("@")
    file = f"{name}@.service" if instance else f"{name}.service"
    paths = [p for p in (f"{f}/{file}" for f in FOLDERS) if os.path.exists(p)][:1]
    if not paths:
        sys.exit(f"Unit {unit}.service not found.")
    values = {}
    section = ""
    for path in paths + sorted(glob.glob(f"/etc/systemd/system/{file}.d/*.conf")):
        for line in open(path, encoding="utf-8"):
            line = line.strip().replace("%i", instance)
            if line.startswith("["):
                section = line
            elif "=" in line and line[0] != "#" and section == "[Service]":
                key, value = line.split("=", 1)
                values[key] = value
    return values


def pid_of(unit):
    """Of what start() began, if it runs."""
    try:
        pid = int(open(f"{KEPT}/{unit}.pid", encoding="utf-8").read())
        state = open(f"/proc/{pid}/stat", encoding="utf-8").read().rsplit(")", 1)[1].split()[0]
        return 0 if state == "Z" else pid
    except (OSError, ValueError):
        return 0


def command(line, pid=0):
    words = line.lstrip("-@:+!").replace("$MAINPID", str(pid)).split()
    found = [f"{p}/{words[0]}" for p in PROGRAMS if os.access(f"{p}/{words[0]}", os.X_OK)]
    return [words[0] if "/" in words[0] else found[0]] + words[1:]


def folders(values, user):
    for key, top in (("StateDirectory", "/var/lib"), ("RuntimeDirectory", "/run")):
        if values.get(key):
            path = f"{top}/{values[key]}"
            os.makedirs(path, exist_ok=True)
            os.chmod(path, int(values.get(f"{key}Mode", "0755"), 8))
            subprocess.run(["chown", user, path], check=True)


def as_user(values):
    """The words that make of a command what User= and the capabilities say."""
    words = ["setpriv"]
    if values.get("User"):
        words += [f"--reuid={values['User']}", f"--regid={values.get('Group', values['User'])}", "--init-groups"]
    if "AmbientCapabilities" in values:
        caps = ",".join(["-all"] + ["+" + c.lower()[4:] for c in values["AmbientCapabilities"].split()])
        words += [f"--inh-caps={caps}", f"--ambient-caps={caps}", f"--bounding-set={caps}"]
    if values.get("NoNewPrivileges") in ("yes", "true"):
        words.append("--no-new-privs")
    return words


def listen(unit):
    """Where the unit's main process tells how it is."""
    path = f"{KEPT}/{unit}.notify"
    if os.path.exists(path):
        os.unlink(path)
    notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    notify.bind(path)
    os.chmod(path, 0o666)
    return notify


def wait_told(notify, unit, wanted):
    """The value of the last word of the wanted ones, once all were told."""
    notify.settimeout(0.2)
    end = time.monotonic() + PATIENCE
    told = {}
    while time.monotonic() < end:
        try:
            told.update(line.split("=", 1) for line in notify.recv(4096).decode().splitlines() if "=" in line)
        except TimeoutError:
            if not pid_of(unit):
                break
        if all(word in told for word in wanted):
            return told[wanted[-1]]
    sys.exit(f"Job for {unit}.service failed:\n" + open(f"{KEPT}/{unit}.log", encoding="utf-8").read()[-3000:])


def keep_pid(unit, pid):
    open(f"{KEPT}/{unit}.pid", "w", encoding="utf-8").write(str(pid))


def start(unit):
    values = read(unit)
    if pid_of(unit):
        return
    os.makedirs(KEPT, exist_ok=True)
    folders(values, values.get("User", "root"))
    if values.get("Type") == "forking":
        subprocess.run(command(values["ExecStart"]), check=True)
        return
    with listen(unit) as notify:
        environment = {"PATH": ":".join(PROGRAMS), "NOTIFY_SOCKET": notify.getsockname()}
        with open(f"{KEPT}/{unit}.log", "ab") as log:
            process = subprocess.Popen(as_user(values) + command(values["ExecStart"]), stdin=subprocess.DEVNULL,
                                       stdout=log, stderr=log, env=environment, cwd="/", start_new_session=True)
        keep_pid(unit, process.pid)
        wait_told(notify, unit, ["READY"])


def stop(unit):
    values = read(unit)
    if values.get("Type") == "forking":
        subprocess.run(command(values["ExecStop"]), check=False)  # It may not run.
        return
    pid = pid_of(unit)
    end = time.monotonic() + PATIENCE
    if pid:
        os.kill(pid, signal.SIGTERM)
    while pid_of(unit):
        if time.monotonic() > end:
            sys.exit(f"{unit}.service does not stop")
        time.sleep(0.05)


def reload(unit):
    pid = pid_of(unit)
    if not pid:
        sys.exit(f"{unit}.service is not active, cannot reload.")
    subprocess.run(command(read(unit)["ExecReload"], pid), check=True)


def upgrade(unit):
    """kill --signal=USR2: systemd follows the main process to its successor."""
    pid = pid_of(unit)
    if not pid:
        sys.exit(f"Failed to kill unit {unit}.service: it is not active")
    with listen(unit) as notify:
        os.kill(pid, signal.SIGUSR2)
        keep_pid(unit, wait_told(notify, unit, ["MAINPID"]))


def main():
    os.umask(0o022)  # Whatever that of the caller is.
    words = [w for w in sys.argv[1:] if not w.startswith("-")]
    verb, units = words[0], [u.removesuffix(".service") for u in words[1:]]
    for unit in units:
        if verb in ("stop", "restart") or verb == "disable" and "--now" in sys.argv:
            stop(unit)
        if verb in ("start", "restart") or verb == "enable" and "--now" in sys.argv:
            start(unit)
        if verb == "reload":
            reload(unit)
        if verb == "kill":
            upgrade(unit)
        if verb == "is-active" and not pid_of(unit):
            sys.exit(3)


main()
