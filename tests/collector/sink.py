#!/usr/bin/env python3
"""What hooks are tested against: HTTP, HTTPS and SMTP on loopback, recorded, misbehaving on command.

  sink.py FOLDER [--http PORT] [--https PORT] [--smtp PORT] [--smtps PORT] [--starttls]
                 [--certificate FILE --key FILE]

PORT 0: a free one.  FOLDER/ports says which, as JSON, once it listens.  In FOLDER:

  record    one line of JSON a request or mail: n, at (s), door, method, path, query, headers (names in
            small letters), names (as they came), body, status; of a mail: from, to, auth, tls, body
  control   a list of rules, read anew for each request; the first that fits and is not used up:
            {"path": "/prefix", "method": "POST", "door": "https", "times": 2, "skip": 1,
             "status": 429, "retry_after": "3", "headers": {...}, "body": "...", "delay": 0.5,
             "hang": true, "trickle": true, "drop": true, "after": true, "stage": "rcpt",
             "rubbish": "html | binary | nul | huge | http"}
            drop: closed without an answer; after: done all the same, only the answer is lost.
            Mail: path is "", stage (mail, rcpt, data, end) is where status is given (default: end).

Without a rule it does as ServiceNow's tables, PagerDuty, Alertmanager and Jira do at their paths, and
answers 200 elsewhere.  Not recorded: GET /sink/tickets; POST /sink/state/NUMBER/STATE sets a ticket's
state, as people there would.
"""
import argparse
import asyncio
import base64
import json
import os
import ssl
import time
import urllib.parse

REASONS = {200: "OK", 201: "Created", 202: "Accepted", 204: "No Content", 301: "Moved Permanently",
           400: "Bad Request", 401: "Unauthorized", 403: "Forbidden", 404: "Not Found", 410: "Gone",
           429: "Too Many Requests", 500: "Internal Server Error", 503: "Service Unavailable"}
BODY_MAX = 8 << 20


def answer(status, body=None, **headers):
    kind = "text/plain"
    if isinstance(body, (dict, list)):
        kind, body = "application/json", json.dumps(body)
    return status, {"Content-Type": kind, **headers}, (body or "").encode()


class Rules:
    """FOLDER/control.  How often each was used is forgotten when the file changes."""

    def __init__(self, path):
        self.path, self.text, self.rules, self.seen = path, "", [], []

    def read(self):
        try:
            with open(self.path, encoding="utf-8") as file:
                text = file.read()
            rules = json.loads(text or "[]")
        except (OSError, ValueError):
            text, rules = "", []
        if text != self.text:
            self.text, self.rules, self.seen = text, rules, [0] * len(rules)

    def take(self, door, method, path):
        self.read()
        for i, rule in enumerate(self.rules):
            if (not path.startswith(rule.get("path", "")) or rule.get("method", method) != method
                    or rule.get("door", door) != door):
                continue
            used = self.seen[i] - rule.get("skip", 0)
            if used >= rule.get("times", 1 << 60):
                continue
            self.seen[i] += 1
            if used >= 0:
                return rule
        return {}


class ServiceNow:
    """Enough of the Table API: query by field=value, POST, PATCH; what is closed is not changed."""

    def __init__(self):
        self.tables = {"incident": [], "em_event": []}

    def serve(self, request, table, rest):
        if "authorization" not in request["headers"]:
            return answer(401, {"error": {"message": "User Not Authenticated", "detail": ""}, "status": "failure"})
        if table not in self.tables:
            return answer(400, {"error": {"message": "Invalid table " + table}, "status": "failure"})
        if request["method"] == "GET":
            return self.query(self.tables[table], request["query"])
        try:
            given = json.loads(request["body"])
        except ValueError:
            return answer(400, {"error": {"message": "Exception while reading request"}, "status": "failure"})
        if request["method"] == "POST":
            return self.create(self.tables[table], table, given)
        if request["method"] == "PATCH":
            return self.patch(self.tables[table], rest, given)
        return answer(405, {"error": {"message": "Method not supported"}, "status": "failure"})

    @staticmethod
    def query(rows, query):
        parameters = dict(urllib.parse.parse_qsl(query))
        latest_first = False
        for part in parameters.get("sysparm_query", "").split("^"):
            if part.startswith("ORDERBYDESC"):
                latest_first = True
            elif "=" in part:
                name, value = part.split("=", 1)
                rows = [row for row in rows if row.get(name, "") == value]
        rows = rows[::-1] if latest_first else rows
        rows = rows[:int(parameters.get("sysparm_limit", 10000))]
        fields = parameters.get("sysparm_fields")
        if fields:
            rows = [{name: row.get(name, "") for name in fields.split(",")} for row in rows]
        return answer(200, {"result": rows})

    @staticmethod
    def create(rows, table, given):
        number = ("INC%07d" if table == "incident" else "EVT%07d") % (len(rows) + 10001)
        row = {"state": "1", **given, "number": number, "sys_id": os.urandom(16).hex()}
        rows.append(row)
        return answer(201, {"result": row}, Location="/api/now/table/%s/%s" % (table, row["sys_id"]))

    @staticmethod
    def patch(rows, sys_id, given):
        for row in rows:
            if row["sys_id"] == sys_id:
                if row["state"] in ("7", "8"):
                    return answer(403, {"error": {"message": "Operation Failed",
                                                  "detail": "ACL Exception Update Failed due to security constraints"},
                                        "status": "failure"})
                row.update(given)
                return answer(200, {"result": row})
        return answer(404, {"error": {"message": "No Record found"}, "status": "failure"})

    def set_state(self, number, state):
        found = [row for row in self.tables["incident"] if row["number"] == number]
        for row in found:
            row["state"] = state
        return answer(200 if found else 404)


class Jira:
    """Issues that are found by a label, commented on, and done by any transition."""

    def __init__(self):
        self.issues = []

    def serve(self, request, rest):
        if request["method"] == "GET" and rest == ["search"]:
            jql = dict(urllib.parse.parse_qsl(request["query"])).get("jql", "")
            label = jql.partition("labels=")[2].split(" ")[0]
            found = [issue for issue in self.issues if label in issue["labels"]]
            return answer(200, {"issues": [self.shown(issue) for issue in found[::-1]]})
        if request["method"] != "POST" or rest[:1] != ["issue"]:
            return answer(404, {"errorMessages": ["no such resource"]})
        if len(rest) == 1:
            return self.create(json.loads(request["body"])["fields"])
        found = [issue for issue in self.issues if issue["key"] == rest[1]]
        if not found:
            return answer(404, {"errorMessages": ["Issue Does Not Exist"]})
        if rest[2:] == ["transitions"]:
            found[0]["status"] = "done"
            return answer(204)
        return answer(201, {"id": "1"})

    @staticmethod
    def shown(issue):
        return {"key": issue["key"], "fields": {"status": {"statusCategory": {"key": issue["status"]}}}}

    def create(self, fields):
        key = "OPS-%d" % (len(self.issues) + 1)
        self.issues.append({"key": key, "labels": fields["labels"], "status": "new"})
        return answer(201, {"id": key[4:], "key": key, "self": "http://127.0.0.1/issue/" + key})


class Sink:
    def __init__(self, folder):
        self.folder = folder
        self.rules = Rules(os.path.join(folder, "control"))
        self.record_file = open(os.path.join(folder, "record"), "a", encoding="utf-8", buffering=1)
        self.servicenow = ServiceNow()
        self.jira = Jira()
        self.count = 0

    def record(self, entry):
        self.count += 1
        entry = {"n": self.count, "at": time.time(), **entry}
        self.record_file.write(json.dumps(entry) + "\n")

    # --- As the targets do ---

    def serve(self, request):
        path = request["path"].strip("/").split("/")
        if path[:3] == ["api", "now", "table"] and len(path) > 3:
            return self.servicenow.serve(request, path[3], path[4] if len(path) > 4 else "")
        if request["path"].endswith("/v2/enqueue"):
            return self.pagerduty(request)
        if request["path"].endswith("/api/v2/alerts"):
            return self.alertmanager(request)
        if "/rest/api/2/" in request["path"]:
            return self.jira.serve(request, request["path"].partition("/rest/api/2/")[2].split("/"))
        return answer(200, "ok")

    @staticmethod
    def pagerduty(request):
        try:
            event = json.loads(request["body"])
            good = (event["routing_key"] and event["event_action"] in ("trigger", "acknowledge", "resolve")
                    and len(event["dedup_key"]) <= 255)
            if event["event_action"] == "trigger":
                payload = event["payload"]
                good = (good and len(payload["summary"]) <= 1024 and payload["source"]
                        and payload["severity"] in ("critical", "error", "warning", "info"))
        except (ValueError, KeyError, TypeError):
            good = False
        if not good:
            return answer(400, {"status": "invalid event", "message": "Event object is invalid", "errors": ["?"]})
        return answer(202, {"status": "success", "message": "Event processed", "dedup_key": event["dedup_key"]})

    @staticmethod
    def alertmanager(request):
        try:
            good = all(alert["labels"] and all(isinstance(v, str) for v in alert["labels"].values())
                       for alert in json.loads(request["body"]))
        except (ValueError, KeyError, TypeError, AttributeError):
            good = False
        return answer(200) if good else answer(400, '"bad_data"')

    # --- HTTP ---

    def own(self, request):
        """What tests ask of the sink itself; None: nothing of that."""
        path = request["path"].strip("/").split("/")
        if path == ["sink", "tickets"]:
            return answer(200, self.servicenow.tables)
        if path[:2] == ["sink", "state"] and len(path) == 4:
            return self.servicenow.set_state(path[2], path[3])
        return None

    async def read_request(self, reader, writer, door):
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        first, *lines = head.split("\r\n")[:-2]
        method, target, _ = first.split(" ", 2)
        names = [line.split(":", 1) for line in lines]
        headers = {name.lower(): value.strip() for name, value in names}
        if headers.get("expect", "").lower() == "100-continue":
            writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        if headers.get("transfer-encoding", "").lower() == "chunked":
            body = b""
            while size := int((await reader.readline()).split(b";")[0], 16):
                body += await reader.readexactly(size)
                await reader.readline()
            await reader.readline()
        else:
            body = await reader.readexactly(min(int(headers.get("content-length", 0)), BODY_MAX))
        path, _, query = target.partition("?")
        request = {"door": door, "method": method, "path": path, "query": query, "headers": headers,
                   "names": [name for name, _ in names], "body": body.decode("utf-8", "replace")}
        try:
            body.decode("utf-8")
        except UnicodeDecodeError:
            request["body_base64"] = base64.b64encode(body).decode()
        return request

    def rubbish(self, rule, status):
        kind = rule["rubbish"]
        if kind == "http":
            return b"\x00\xff not HTTP at all\r\n\r\n"
        body = {"html": b"<html><body>Sign in to continue</body></html>", "binary": bytes(range(256)) * 4,
                "nul": b'{"result":{"sys_id":"a\x00b","number":"\x00"},"key":"\x00"}',
                "huge": b'{"result":"' + b"x" * (5 << 20) + b'"}'}[kind]
        return self.bytes_of(status, {"Content-Type": "application/json"}, body)

    @staticmethod
    def bytes_of(status, headers, body):
        head = "HTTP/1.1 %d %s\r\n" % (status, REASONS.get(status, "Said So"))
        if status != 204:
            headers = {**headers, "Content-Length": len(body)}
        head += "".join("%s: %s\r\n" % item for item in headers.items())
        return head.encode("latin-1") + b"\r\n" + body

    def decide(self, rule, request):
        """The answer's bytes, after whatever the rule wants."""
        told = "status" in rule or "body" in rule or "rubbish" in rule
        done = self.serve(request) if not told or rule.get("after") else None
        status, headers, body = done or answer(rule.get("status", 200), rule.get("body", ""))
        if told:
            status = rule.get("status", status)
            body = rule.get("body", "").encode() if "body" in rule or not done else body
        headers = {**headers, **rule.get("headers", {})}
        if "retry_after" in rule:
            headers["Retry-After"] = rule["retry_after"]
        request["status"] = status
        return self.rubbish(rule, status) if "rubbish" in rule else self.bytes_of(status, headers, body)

    async def http(self, reader, writer, door):
        while True:
            request = await self.read_request(reader, writer, door)
            own = self.own(request)
            if own:
                writer.write(self.bytes_of(*own))
                continue
            rule = self.rules.take(door, request["method"], request["path"])
            if rule.get("hang") or (rule.get("drop") and not rule.get("after")):
                request["status"], out = 0, b""
            else:
                out = self.decide(rule, request)
            self.record(request)
            await asyncio.sleep(rule.get("delay", 0))
            if rule.get("hang"):
                await asyncio.sleep(3600)
            if rule.get("drop"):
                return
            if rule.get("trickle"):
                for i in range(len(out)):
                    writer.write(out[i:i + 1])
                    await writer.drain()
                    await asyncio.sleep(1)
            writer.write(out)
            await writer.drain()
            if rule.get("rubbish") == "http":
                return

    # --- SMTP ---

    async def smtp(self, reader, writer, door, tls):
        mail = {"auth": "", "tls": door == "smtps", "from": "", "to": []}
        rule = self.rules.take(door, "MAIL", "")
        await asyncio.sleep(rule.get("delay", 0))
        if rule.get("hang"):
            await asyncio.sleep(3600)
        if rule.get("drop"):
            return

        async def say(text):
            for i in range(len(text) if rule.get("trickle") else 0):
                writer.write(text[i:i + 1].encode())
                await writer.drain()
                await asyncio.sleep(1)
            writer.write((b"" if rule.get("trickle") else text.encode()) + b"\r\n")
            await writer.drain()

        def status_at(stage, good):
            if "status" in rule and rule.get("stage", "end") == stage:
                return "%d said so" % rule["status"]
            return good

        await say("220 sink ESMTP")
        while line := (await reader.readline()).decode("utf-8", "replace").rstrip("\r\n"):
            verb = line.split(" ")[0].upper()
            if verb == "EHLO":
                await say("250-sink\r\n250-8BITMIME\r\n250-AUTH PLAIN LOGIN" + (
                    "\r\n250-STARTTLS" if tls and not mail["tls"] else "") + "\r\n250 SIZE 10000000")
            elif verb == "STARTTLS" and tls and not mail["tls"]:
                await say("220 go on")
                await writer.start_tls(tls)
                mail["tls"] = True
            elif verb == "AUTH":
                mail["auth"] = await self.smtp_auth(reader, say, line)
                await say("235 welcome")
            elif verb == "MAIL":
                mail.update({"from": line[10:].split(" ")[0], "to": []})
                await say(status_at("mail", "250 ok"))
            elif verb == "RCPT":
                mail["to"].append(line[8:].split(" ")[0])
                await say(status_at("rcpt", "250 ok"))
            elif verb == "DATA":
                await say(status_at("data", "354 go on"))
                if "status" in rule and rule.get("stage") == "data":
                    continue
                said = status_at("end", "250 queued")
                body = await self.smtp_data(reader)
                self.record({"door": door, "method": "MAIL", "path": "", **mail, "body": body, "status": int(said[:3])})
                await say(said)
            elif verb == "QUIT":
                await say("221 bye")
                return
            else:
                await say("250 ok")

    @staticmethod
    async def smtp_auth(reader, say, line):
        words = line.split(" ")
        if words[1].upper() == "PLAIN":
            if len(words) < 3:
                await say("334 ")
                words.append((await reader.readline()).decode().strip())
            return base64.b64decode(words[2]).decode().strip("\0").replace("\0", ":")
        if len(words) < 3:
            await say("334 VXNlcm5hbWU6")
            words.append((await reader.readline()).decode().strip())
        await say("334 UGFzc3dvcmQ6")
        password = (await reader.readline()).decode().strip()
        return ":".join(base64.b64decode(word).decode() for word in (words[2], password))

    @staticmethod
    async def smtp_data(reader):
        lines = []
        while (line := await reader.readline()) not in (b".\r\n", b""):
            lines.append(line[1:] if line.startswith(b".") else line)
        return b"".join(lines).decode("utf-8", "replace")

    # --- Doors ---

    def handler(self, door, tls):
        async def handle(reader, writer):
            try:
                if door.startswith("smtp"):
                    await self.smtp(reader, writer, door, tls)
                else:
                    await self.http(reader, writer, door)
            except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, ConnectionError, ssl.SSLError, ValueError):
                pass  # The peer went away, or speaks something else.
            finally:
                writer.close()
        return handle


async def main(arguments):
    sink, ports, servers, tls = Sink(arguments.folder), {}, [], None
    if arguments.certificate:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(arguments.certificate, arguments.key)
    for door in ("http", "https", "smtp", "smtps"):
        port = getattr(arguments, door)
        if port is None:
            continue
        starttls = tls if door == "smtp" and arguments.starttls else None
        server = await asyncio.start_server(sink.handler(door, starttls), "127.0.0.1", port, limit=BODY_MAX,
                                            ssl=tls if door in ("https", "smtps") else None)
        ports[door] = server.sockets[0].getsockname()[1]
        servers.append(server)
    path = os.path.join(arguments.folder, "ports")
    with open(path + ".new", "w", encoding="utf-8") as file:
        json.dump(ports, file)
    os.rename(path + ".new", path)
    await asyncio.gather(*(server.serve_forever() for server in servers))


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("folder")
    for name in ("http", "https", "smtp", "smtps"):
        parser.add_argument("--" + name, type=int)
    parser.add_argument("--starttls", action="store_true")
    parser.add_argument("--certificate")
    parser.add_argument("--key")
    asyncio.run(main(parser.parse_args()))
