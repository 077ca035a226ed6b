-- 0005_day_keys.sql: the end of a day key. 72 h after its date has ended everywhere its bytes are in no file of
-- the database but the log of changes (pg_wal), which goes by itself.
--
-- Of an older date a key may be made again after the first was due: for a while there are two. The one that is
-- due is nobody's any more and only waits for day_key_destroy(); were it overwritten, its bytes would stay in
-- the file with nothing to say so.
alter table day_key drop constraint day_key_pkey;
alter table day_key add constraint day_key_pk primary key (date, destroy_after);
-- ANALYZE keeps samples of what it sees, elsewhere.
alter table day_key alter column key set statistics 0;

-- The key of a date and when it is due, made at first need. A date ends last where clocks are 12 h behind UTC.
-- Of an older date (log import, events with their own time) the key lives 72 h from now.
drop function day_key_for(date);
create function day_key_for(p_date date, out key bytea, out destroy_after timestamptz)
language plpgsql security definer set search_path = public, pg_temp as $$
declare
    dies timestamptz := greatest(
        ((p_date + 1)::timestamp at time zone 'UTC') + interval '84 hours',
        now() + interval '72 hours');
begin
    if p_date > (now() at time zone 'UTC')::date + 9 or p_date < date '1970-01-01' then
        raise exception 'no day key for %', p_date;
    end if;
    select k.key, k.destroy_after into key, destroy_after
    from day_key k where k.date = p_date and k.destroy_after > now();
    if found then
        return;
    end if;
    lock table day_key in share row exclusive mode;  -- one makes it, whoever waited finds it
    select k.key, k.destroy_after into key, destroy_after
    from day_key k where k.date = p_date and k.destroy_after > now();
    if found then
        return;
    end if;
    insert into day_key as k (date, key, destroy_after) values (p_date, gen_random_bytes(32), dies)
    returning k.key, k.destroy_after into key, destroy_after;
end
$$;

-- Destroy what is due; answers how many keys that were. The table is emptied and what may stay is written into a
-- new file; the old one is cut to nothing at the commit, and its name goes with the next checkpoint.
--
-- Not DELETE and VACUUM FULL: that keeps rows as long as an older transaction, as of a dump under way, could
-- see them; whoever is killed between the two leaves bytes in the file and no row that says so; and only
-- the table's owner may do it, who may drop it, too. This is one transaction, and a right of its own.
--
-- Of several that try at once one does it. Who waits for the table waits behind this: so it waits shortly, and
-- is tried again soon.
create function day_key_destroy() returns integer
language plpgsql security definer set search_path = public, pg_temp set lock_timeout = '2s' as $$
declare
    kept day_key[];
    due  integer;
begin
    if not pg_try_advisory_xact_lock('day_key'::regclass::bigint)
        or not exists (select from day_key where destroy_after <= now()) then
        return 0;
    end if;
    lock table day_key in access exclusive mode;
    select count(*) filter (where destroy_after <= now()), array_agg(k) filter (where destroy_after > now())
    into due, kept from day_key k;
    truncate day_key;
    insert into day_key select * from unnest(kept);
    return due;
end
$$;

revoke select, insert, update, delete on day_key from footfall_console;
grant execute on function day_key_for to footfall_ingress;
grant execute on function day_key_destroy to footfall_console;
