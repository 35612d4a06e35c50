-- 0021-progress.sql - how far an alarm came that is raised: who takes its source over goes on from
-- there, so that nobody who is told of it sees that somebody else looks at it now.
--
-- Written with each change of the alarm, and about once a minute before the source's rows are
-- committed; no news for the desk.  People read 'details'.

SET LOCAL ROLE plumbline_owner;

-- {"decided": as the row's, or it is another's and says nothing; "worst": so far; "flows": [[...]];
-- of silence "heard": [epoch, sequence] of the last entry, "good_since": when it spoke again}.
-- Times are in microseconds, those of flows in nanoseconds.  A flow: its number; delta-t; end of the
-- newest final delta-t that is counted; end of the newest window; end of the last bad delta-t; when
-- it was good for long enough; how long it is good; whether its newest window was over; whether
-- nothing bad was counted since it was raised (again); and, since the first bad delta-t, packets of
-- a known fate, those up to the last bad one, lost on the way there, on the way back, on one of
-- them, and not sent.
ALTER TABLE plumbline_store.alarm ADD COLUMN progress jsonb;

RESET ROLE;
