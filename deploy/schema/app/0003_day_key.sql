-- 0003_day_key.sql: the random key of each date, from which the salt of visitor hashes and the key
-- that seals addresses are derived (proto/event.md). Who destroys it makes the day's visitors
-- unlinkable for everyone.
create extension if not exists pgcrypto;

create table day_key (
    date          date        primary key,
    key           bytea       not null check (length(key) = 32),
    destroy_after timestamptz not null               -- 72 h after the date has ended everywhere
);

-- The key of a date, made at first need. A date ends last where clocks are 12 h behind UTC. Of an
-- older date (log import, events with their own time) the key lives 72 h from now.
create function day_key_for(p_date date) returns bytea
language plpgsql security definer set search_path = public, pg_temp as $$
declare
    found_key bytea;
    dies      timestamptz := greatest(
        ((p_date + 1)::timestamp at time zone 'UTC') + interval '84 hours',
        now() + interval '72 hours');
begin
    if p_date > (now() at time zone 'UTC')::date + 9 or p_date < date '1970-01-01' then
        raise exception 'no day key for %', p_date;
    end if;
    select key into found_key from day_key where date = p_date;
    if found_key is null then
        insert into day_key (date, key, destroy_after)
        values (p_date, gen_random_bytes(32), dies) on conflict do nothing;
        select key into found_key from day_key where date = p_date;
    end if;
    return found_key;
end
$$;

-- The instant at which a local date begins. Clocks that are put back at midnight show 00:00 twice: the
-- date begins at the first. Clocks that are put forward then skip it: it begins at the jump.
create function local_midnight(p_zone text, p_date date) returns timestamptz
language sql stable as $$
    select case when ((usual - interval '1 hour') at time zone p_zone)::date >= p_date
                then usual - interval '1 hour' else usual end
    from (select p_date::timestamp at time zone p_zone as usual) t
$$;

-- The local date of a zone at a time, with its bounds. Zones are PostgreSQL's own, so that every
-- process agrees on where a day ends.
create function local_day(p_zone text, p_ts timestamptz,
    out date date, out starts timestamptz, out ends timestamptz)
language sql stable as $$
    select d.date, local_midnight(p_zone, d.date), local_midnight(p_zone, d.date + 1)
    from (select (p_ts at time zone p_zone)::date as date) d
$$;

revoke all on day_key from public;
grant select on day_key to footfall_ingress, footfall_worker;
grant select, insert, update, delete on day_key to footfall_console;
grant execute on function day_key_for, local_midnight, local_day to footfall_ingress, footfall_console;
