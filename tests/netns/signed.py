#!/usr/bin/env python3
"""signed.py - whether captured STAMP packets are signed as RFC 8762 and RFC 8972 have
it, by Python's own HMAC: reads payloads in hexadecimal, one a line, and prints
packets, those signed with none of the keys, those without a right HMAC TLV, and
those of the unauthenticated layout, of which the TLV alone is signed; then how many
each key signed.  Arguments: files of keys."""
import hashlib
import hmac
import sys


def sign(key, data):
    return hmac.new(key, data, hashlib.sha256).digest()[:16]


def tlvs_signed(key, packet, base):
    at = base
    while at + 4 <= len(packet):
        kind, size = packet[at + 1], int.from_bytes(packet[at + 2 : at + 4], "big")
        if kind == 8:
            return packet[at + 4 : at + 20] == sign(key, packet[:4] + packet[base:at])
        at += 4 + size
    return False


def main():
    keys = [bytes.fromhex(open(path).read().strip()) for path in sys.argv[1:]]
    signed = [0] * len(keys)
    packets = bad = bad_tlvs = plain = 0
    for line in sys.stdin:
        packet = bytes.fromhex(line.strip().replace(":", ""))
        packets += 1
        whole = packet[4:16] == bytes(12)
        plain += not whole
        if whole:
            by = next((i for i, k in enumerate(keys) if packet[96:112] == sign(k, packet[:96])), None)
        else:
            by = next((i for i, k in enumerate(keys) if tlvs_signed(k, packet, 44)), None)
        if by is None:
            bad += 1
        else:
            signed[by] += 1
            bad_tlvs += whole and not tlvs_signed(keys[by], packet, 112)
    print(packets, bad, bad_tlvs, plain, *signed)


if __name__ == "__main__":
    main()
