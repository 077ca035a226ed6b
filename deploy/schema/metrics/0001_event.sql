-- 0001_event.sql: one row per accepted event, in monthly partitions so that retention drops a table
-- instead of deleting rows. Texts are interned: a column that names a string holds its 64-bit hash
-- (lib/secret.h, id64), 0 where there is none, so the same event gives the same row on every replay.
revoke all on schema public from public;
alter default privileges revoke execute on functions from public; -- each is granted by name
grant usage on schema public to footfall_worker, footfall_query;

create table string (
    site_id integer not null,
    id      bigint  not null,                        -- id64 of the value
    value   text    not null,
    constraint string_pk primary key (site_id, id)
);

create table event (
    site_id         integer     not null,            -- first in every key: Citus spreads by it
    ts              timestamptz not null,            -- ingress clock, or the caller's where it is trusted
    visitor         bigint      not null,            -- keyed hash, see proto/event.md
    id              bigint      not null,            -- the client's id or drawn: a retry meets itself
    kind            smallint    not null,            -- 1 page view, 2 custom event, 3 engagement (proto/event.md)
    interactive     boolean     not null,            -- false: does not end a bounce
    name            bigint      not null,            -- of a custom event
    host            bigint      not null,
    page            bigint      not null,            -- cleaned path
    title           bigint      not null,
    referrer        bigint      not null,            -- host and path, no query
    source          bigint      not null,            -- host of the referrer, own hosts excepted
    country         bigint      not null,            -- ISO 3166-1 alpha-2
    browser         bigint      not null,
    browser_version bigint      not null,
    os              bigint      not null,
    os_version      bigint      not null,
    device          bigint      not null,            -- desktop, mobile, tablet, tv, console, wearable, bot
    language        bigint      not null,
    screen_width    integer,                         -- CSS px
    engaged_ms      integer,
    scroll_depth    smallint,                        -- 0 to 100
    revenue         numeric(15, 3),
    currency        char(3),
    props           jsonb,
    metadata        jsonb,
    constraint event_pk primary key (site_id, visitor, id, ts)
) partition by range (ts);
create index event_ts on event using brin (ts);

-- Make sure the month of a time has its partition. The worker may not create tables; this may.
-- The advisory lock lets one of several workers make it and the others wait.
create function event_partition(p_ts timestamptz) returns void
language plpgsql security definer set search_path = public, pg_temp as $$
declare
    month_utc timestamp := date_trunc('month', p_ts at time zone 'UTC');
    part      text := format('event_%s', to_char(month_utc, 'YYYY_MM'));
begin
    if to_regclass(part) is not null then
        return;
    end if;
    if p_ts < timestamptz '1970-01-01 00:00:00+00' or p_ts > now() + interval '100 days' then
        raise exception 'no partition for %', p_ts;
    end if;
    perform pg_advisory_xact_lock(hashtext('footfall event_partition'));
    if to_regclass(part) is null then
        execute format('create table %I partition of event for values from (%L) to (%L)', part,
            month_utc at time zone 'UTC', (month_utc + interval '1 month') at time zone 'UTC');
    end if;
end
$$;

grant select, insert on event, string to footfall_worker;
grant select on event, string to footfall_query;
grant execute on function event_partition to footfall_worker;
