#!/usr/bin/env python3
"""signed.py - whether captured STAMP packets are signed as RFC 8762 and RFC 8972 have
it, by Python's own HMAC: reads payloads in hexadecimal, one a line, and prints
packets, those signed with none of the keys, and those without a right HMAC TLV;
then how many each key signed.  Arguments: files of keys."""
import hashlib
import hmac
import sys


def sign(key, data):
    return hmac.new(key, data, hashlib.sha256).digest()[:16]


def tlvs_signed(key, packet):
    at = 112
    while at + 4 <= len(packet):
        kind, size = packet[at + 1], int.from_bytes(packet[at + 2 : at + 4], "big")
        if kind == 8:
            return packet[at + 4 : at + 20] == sign(key, packet[:4] + packet[112:at])
        at += 4 + size
    return False


def main():
    keys = [bytes.fromhex(open(path).read().strip()) for path in sys.argv[1:]]
    signed = [0] * len(keys)
    packets = bad = bad_tlvs = 0
    for line in sys.stdin:
        packet = bytes.fromhex(line.strip().replace(":", ""))
        packets += 1
        by = next((i for i, k in enumerate(keys) if packet[96:112] == sign(k, packet[:96])), None)
        if by is None or packet[4:16] != bytes(12):
            bad += 1
        else:
            signed[by] += 1
            bad_tlvs += not tlvs_signed(keys[by], packet)
    print(packets, bad, bad_tlvs, *signed)


if __name__ == "__main__":
    main()
