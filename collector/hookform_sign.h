/* hookform_sign.h - the headers of Standard Webhooks: webhook-id, webhook-timestamp and, with a
 * secret, webhook-signature.
 *
 * After hookform_parts.h; for a request whose body is there. */
#ifndef PLUMBLINE_HOOKFORM_SIGN_H
#define PLUMBLINE_HOOKFORM_SIGN_H

#include <stdbool.h>

struct hookform;
struct hookform_request;

bool hookform_sign(struct hookform *f, struct hookform_request *r);

#endif
