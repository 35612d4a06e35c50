-- 0017-problem.sql - alarms, the problems that they make, and what is said of these to whom.
--
-- An *alarm* is one rule that one object breaks, from raise to clear; a worker that reads the
-- object's source writes it, and puts it into the desk's inbox (alarm_news) in the same transaction.  A *problem* is what a
-- ticket is about: alarms of one cause.  The desk, a job of one collector of all, makes problems of
-- alarms and puts what is to be said into the *outbox* in the same transaction; the courier, another such job,
-- delivers that, at least once, in order a hook and problem.  Small tables, which are not distributed.

SET LOCAL ROLE plumbline_owner;

-- Two installations may tell one Alertmanager: their problems must not be one.
CREATE TABLE plumbline_store.installation (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    id  text NOT NULL DEFAULT substr(replace(gen_random_uuid()::text, '-', ''), 1, 8)
);
INSERT INTO plumbline_store.installation DEFAULT VALUES;

CREATE TABLE plumbline_store.alarm (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    source_id   bigint,                  -- Whose stream showed it; NULL: the desk found it (metric budget).
    rule        text NOT NULL,           -- Its key in the inventory.
    metric      text NOT NULL,           -- As in the inventory: flr, rt_p50, silence, clock_error, rt_floor, budget ...
    severity    text NOT NULL CHECK (severity IN ('critical', 'major', 'minor', 'warning', 'info')),
    scope       text NOT NULL CHECK (scope IN ('link', 'probe', 'service')), -- A connector's test is a link, "connector.attachment".
    object      text NOT NULL,
    class       text NOT NULL DEFAULT '', -- '': of all classes.
    observer    text NOT NULL DEFAULT '', -- The probe that saw it.
    began       timestamptz NOT NULL,    -- Back-dated: start of the first bad delta-t.
    raised      timestamptz NOT NULL,    -- When the rule was broken, by the source's time.
    decided     timestamptz NOT NULL,    -- Time of the source up to which it was looked at when it last changed: what is read again before it changes nothing.
    cleared     timestamptz,             -- When the clear rule was kept; NULL: it is raised.
    ended       timestamptz,             -- Back-dated: end of the last bad delta-t.
    flaps       integer NOT NULL DEFAULT 0, -- How often it was raised again in this episode.
    details     jsonb NOT NULL,          -- doc/problems.md
    recorded_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    changed_at  timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE UNIQUE INDEX alarm_raised ON plumbline_store.alarm (rule, scope, object, class, observer) WHERE cleared IS NULL;
CREATE INDEX alarm_source ON plumbline_store.alarm (source_id, decided);
CREATE INDEX alarm_object ON plumbline_store.alarm (scope, object, began);

-- The desk's inbox: an alarm was raised, cleared, raised again, or its details are others.  The
-- desk deletes what it has done.
CREATE TABLE plumbline_store.alarm_news (
    number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    alarm  bigint NOT NULL,
    at     timestamptz NOT NULL DEFAULT clock_timestamp()
);

CREATE TABLE plumbline_store.problem (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    state       text NOT NULL CHECK (state IN ('open', 'ended', 'merged')),
    severity    text NOT NULL CHECK (severity IN ('critical', 'major', 'minor', 'warning', 'info')), -- Worst of what is raised; of an ended one the worst that it had.
    what        text NOT NULL CHECK (what IN ('loss', 'delay', 'silence', 'clock', 'budget', 'other')),
    cause_kind  text NOT NULL CHECK (cause_kind IN ('link', 'risk', 'router', 'probe', 'site', 'service')),
    cause       text NOT NULL,
    title       text NOT NULL,           -- One line.
    began       timestamptz NOT NULL,    -- Back-dated, the first of its alarms.
    ended       timestamptz,             -- Back-dated, the last of its alarms; NULL: it is open.
    opened_at   timestamptz NOT NULL,    -- When the desk made it,
    closed_at   timestamptz,             -- and ended it.
    held        text,                    -- Why nobody was told yet ("maintenance 12"); NULL: those were who want to know.
    revision    integer NOT NULL DEFAULT 1, -- One more with each change that is worth telling.
    reopened    integer NOT NULL DEFAULT 0,
    merged_into bigint REFERENCES plumbline_store.problem,
    evidence    jsonb NOT NULL DEFAULT '[]' -- [{"kind", "text", ...}], doc/problems.md
);
CREATE INDEX problem_open ON plumbline_store.problem (id) WHERE state = 'open';
CREATE INDEX problem_began ON plumbline_store.problem (began);

-- Of which alarms it is.
CREATE TABLE plumbline_store.problem_alarm (
    alarm     bigint PRIMARY KEY,
    problem   bigint NOT NULL REFERENCES plumbline_store.problem,
    joined_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX problem_alarm_problem ON plumbline_store.problem_alarm (problem);

-- What it touches, or touched.
CREATE TABLE plumbline_store.problem_object (
    problem bigint NOT NULL REFERENCES plumbline_store.problem,
    kind    text NOT NULL CHECK (kind IN ('link', 'probe', 'group', 'service', 'tenant')),
    key     text NOT NULL,
    bad     boolean NOT NULL,            -- It still is.
    PRIMARY KEY (problem, kind, key)
);
CREATE INDEX problem_object_key ON plumbline_store.problem_object (kind, key);

-- What happened to it, in order.
CREATE TABLE plumbline_store.problem_step (
    problem  bigint NOT NULL REFERENCES plumbline_store.problem,
    number   integer NOT NULL,
    at       timestamptz NOT NULL DEFAULT clock_timestamp(),
    what     text NOT NULL CHECK (what IN ('opened', 'joined', 'narrowed', 'worsened', 'flapping', 'held', 'told',
                 'acknowledged', 'acknowledgement_ended', 'merged', 'ended', 'reopened')),
    text     text NOT NULL,              -- One line, for people.
    PRIMARY KEY (problem, number)
);

-- Stops reminders, and nothing else.
CREATE TABLE plumbline_store.acknowledgement (
    problem  bigint NOT NULL REFERENCES plumbline_store.problem,
    number   integer NOT NULL,
    note     text NOT NULL,
    until    timestamptz,                -- NULL: until it ends.
    author   text NOT NULL,
    written_by text NOT NULL DEFAULT session_user,
    at       timestamptz NOT NULL DEFAULT now(),
    ended_at timestamptz,                -- When the problem was over, or another took its place.
    PRIMARY KEY (problem, number)
);

-- What is to be said.  'event' is whole, by the hook's view, as it was when it was decided: who
-- delivers it looks nothing up.
CREATE TABLE plumbline_store.outbox (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    hook       text NOT NULL,            -- Its key in the inventory.
    problem    bigint,                   -- NULL: heartbeat, test.
    action     text NOT NULL CHECK (action IN ('open', 'change', 'remind', 'resolve', 'heartbeat', 'test')),
    event      jsonb NOT NULL,           -- doc/problems.md
    state      text NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'done', 'dead', 'superseded')),
    tries      integer NOT NULL DEFAULT 0,
    next_try   timestamptz NOT NULL DEFAULT clock_timestamp(),
    last_try   timestamptz,
    last_error text,                     -- Of the last try that failed.
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    ended_at   timestamptz               -- When it was done, dead or superseded.
);
CREATE INDEX outbox_waiting ON plumbline_store.outbox (hook, problem, id) WHERE state = 'waiting';
CREATE INDEX outbox_dead ON plumbline_store.outbox (hook, id) WHERE state = 'dead';
CREATE INDEX outbox_problem ON plumbline_store.outbox (problem);

-- What a target has of a problem.  Another number: the target had closed the one before.
CREATE TABLE plumbline_store.ticket (
    hook       text NOT NULL,
    problem    bigint NOT NULL,
    number     integer NOT NULL,
    ref        text NOT NULL,            -- The target's own identifier; '' where it has none.
    shown      text NOT NULL DEFAULT '', -- As people there call it: "INC0012345".
    url        text NOT NULL DEFAULT '',
    state      text NOT NULL CHECK (state IN ('open', 'closed')),
    event      jsonb NOT NULL,           -- The last that was delivered.
    again_at   timestamptz,              -- When the target is to be told again that it is still open; NULL: need not.
    opened_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    changed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (hook, problem, number)
);
CREATE INDEX ticket_again ON plumbline_store.ticket (again_at) WHERE again_at IS NOT NULL;

CREATE TABLE plumbline_store.hook_state (
    hook          text PRIMARY KEY,
    state         text NOT NULL CHECK (state IN ('good', 'failing', 'disabled')), -- disabled: it answered 410.
    since         timestamptz NOT NULL,
    failures      integer NOT NULL DEFAULT 0, -- In a row.
    not_before    timestamptz,           -- No try before: it asked for that, or failed.
    last_good     timestamptz,
    last_error    text,
    last_error_at timestamptz
);

GRANT SELECT ON plumbline_store.installation TO plumbline_writer;
GRANT SELECT, INSERT, UPDATE ON plumbline_store.alarm, plumbline_store.problem, plumbline_store.problem_object,
    plumbline_store.acknowledgement TO plumbline_writer;
GRANT SELECT, INSERT, UPDATE, DELETE ON plumbline_store.alarm_news, plumbline_store.problem_alarm, plumbline_store.outbox,
    plumbline_store.ticket, plumbline_store.hook_state TO plumbline_writer;
GRANT SELECT, INSERT ON plumbline_store.problem_step TO plumbline_writer;
GRANT SELECT ON plumbline_store.installation, plumbline_store.alarm, plumbline_store.problem, plumbline_store.problem_alarm,
    plumbline_store.problem_object, plumbline_store.problem_step, plumbline_store.acknowledgement, plumbline_store.outbox,
    plumbline_store.ticket, plumbline_store.hook_state TO plumbline_views;

RESET ROLE;
