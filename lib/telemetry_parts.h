/* telemetry_parts.h - what the files of telemetry.h share, and nobody else: numbers of
 * telemetry.proto that are written and read without protobuf-c. */
#ifndef PLUMBLINE_TELEMETRY_PARTS_H
#define PLUMBLINE_TELEMETRY_PARTS_H

#include "telemetry.h"

enum {
    FIELD_FORMAT = 1,
    FIELD_SOURCE = 2,
    FIELD_MADE_AT = 3,
    FIELD_FINAL_UNTIL = 4,
    FIELD_SESSIONS = 6,
    FIELD_SUMMARIES = 7,
    FIELD_EARLY = 9
};

enum { WIRE_VARINT = 0, WIRE_FIXED64 = 1, WIRE_BYTES = 2, WIRE_FIXED32 = 5 };

#endif
