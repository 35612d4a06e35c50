-- 0018-trace.sql - the path of a link, hop by hop: asked for when a problem opens, and now and
-- then while all is well, to compare with.
--
-- The desk writes a request; the worker that reads the probe's stream tells the probe, beside the ack;
-- the answer comes with a batch, and is written at once, not with the interval's rows: a
-- ticket waits for it.  Read again, it changes nothing.

SET LOCAL ROLE plumbline_owner;

CREATE TABLE plumbline_store.trace_request (
    id       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    problem  bigint NOT NULL,
    probe    text NOT NULL,        -- Who is to trace,
    link     text NOT NULL,        -- on which link, from its own end of it.
    asked_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    done_at  timestamptz,          -- Answered, or given up.
    UNIQUE (problem, probe, link)
);
CREATE INDEX trace_request_open ON plumbline_store.trace_request (probe) WHERE done_at IS NULL;

CREATE TABLE plumbline_store.trace (
    probe     text NOT NULL,
    link      text NOT NULL,
    at        timestamptz NOT NULL,  -- Of its first packet, by the probe's clock.
    why       text NOT NULL CHECK (why IN ('problem', 'good')), -- 'good': the link had no loss then.
    request   bigint,
    problem   bigint,
    class     text NOT NULL,
    flow      integer NOT NULL,
    reached   boolean NOT NULL,      -- The far end answered.
    hops      jsonb NOT NULL,        -- [{"ttl": 1, "address": "10.0.0.1" or null, "rt_us": 812 or null}], the far end last when it answered.
    error     text NOT NULL DEFAULT '', -- Why there is none, or no more: "sendto: Network is unreachable".
    PRIMARY KEY (link, probe, at)
);
CREATE INDEX trace_problem ON plumbline_store.trace (problem) WHERE problem IS NOT NULL;

GRANT SELECT, INSERT, UPDATE, DELETE ON plumbline_store.trace_request, plumbline_store.trace TO plumbline_writer;
GRANT SELECT ON plumbline_store.trace_request, plumbline_store.trace TO plumbline_views;

RESET ROLE;
SET LOCAL ROLE plumbline_views;

CREATE VIEW plumbline.v_trace WITH (security_barrier) AS
    SELECT probe, link, at, why, problem, class, flow, reached, hops, error FROM plumbline_store.trace;
GRANT SELECT ON plumbline.v_trace TO plumbline_reader, plumbline_owner;

RESET ROLE;
