-- 0004_report.sql: the time arithmetic of reports. All of it is done here, by PostgreSQL's own zones,
-- so that a report's days are those by which visitors were counted. Ranges are kept as instants,
-- the end exclusive; local times are for people.

-- The instant at which a local date begins. Clocks that are put back at midnight show 00:00 twice:
-- the date begins at the first. Clocks that are put forward then skip it: it begins at the jump.
create function local_midnight(p_zone text, p_date date) returns timestamptz
language sql stable as $$
    select case when ((usual - interval '1 hour') at time zone p_zone)::date >= p_date
                then usual - interval '1 hour' else usual end
    from (select p_date::timestamp at time zone p_zone as usual) t
$$;

-- An instant as a person of the zone writes it: ISO 8601 with the offset.
create function local_iso(p_zone text, p_ts timestamptz) returns text
language sql stable as $$
    select to_char(p_ts at time zone p_zone, 'YYYY-MM-DD"T"HH24:MI:SS')
           || case when ahead < interval '0' then '-' else '+' end
           || to_char(greatest(ahead, -ahead), 'HH24:MI')
    from (select (p_ts at time zone p_zone) - (p_ts at time zone 'UTC') as ahead) t
$$;

-- The time of a site's first event, or null. Months are asked one after the other, so that what
-- lies behind the first one with events of the site is not read.
create function event_first(p_site integer) returns timestamptz
language plpgsql stable as $$
declare
    month  timestamptz;
    result timestamptz;
begin
    for month in
        select to_date(right(c.relname, 7), 'YYYY_MM')::timestamp at time zone 'UTC'
        from pg_inherits i join pg_class c on c.oid = i.inhrelid
        where i.inhparent = 'event'::regclass and c.relname ~ '^event_\d{4}_\d{2}$'
        order by 1
    loop
        select min(ts) into result from event
        where site_id = p_site and ts >= month
          and ts < ((month at time zone 'UTC') + interval '1 month') at time zone 'UTC';
        exit when result is not null;
    end loop;
    return result;
end
$$;

-- What a report's range is now. Kinds: 'day', 'month', 'year' (the whole of the present one),
-- '24h', 'days' and 'months' (the last p_n, which end before the present one), 'all', 'dates' and
-- 'times' (p_from and p_to, both inclusive: the last day, the last second). p_trim ends 'day' with
-- the present hour, 'month' and 'year' with today.
create function report_range(p_site integer, p_zone text, p_kind text, p_n integer, p_from text,
    p_to text, p_trim boolean,
    out starts timestamptz, out ends timestamptz, out first_date date,
    out starts_iso text, out last_iso text)
language plpgsql stable as $$
declare
    present timestamptz := date_trunc('second', now());
    today   date := (present at time zone p_zone)::date;
    from_date date;
    last_date date := today;
begin
    case p_kind
    when 'day' then
        from_date := today;
    when 'month', 'year' then
        from_date := date_trunc(p_kind, today::timestamp)::date;
        last_date := (from_date + ('1 ' || p_kind)::interval)::date - 1;
        if p_trim then
            last_date := today;
        end if;
    when 'days' then
        from_date := today - p_n;
        last_date := today - 1;
    when 'months' then
        last_date := date_trunc('month', today::timestamp)::date - 1;
        from_date := (date_trunc('month', today::timestamp) - make_interval(months => p_n))::date;
    when 'all' then
        from_date := least((event_first(p_site) at time zone p_zone)::date, today);
    when 'dates' then
        from_date := p_from::date;
        last_date := p_to::date;
    when '24h' then
        starts := present - interval '24 hours';
        ends := present + interval '1 second';
    when 'times' then
        starts := date_trunc('second', p_from::timestamptz);
        ends := date_trunc('second', p_to::timestamptz) + interval '1 second';
    end case;
    if from_date is not null then
        starts := local_midnight(p_zone, from_date);
        ends := local_midnight(p_zone, last_date + 1);
    end if;
    if p_kind = 'day' and p_trim then
        ends := least(ends, (date_trunc('hour', present at time zone p_zone) + interval '1 hour')
                            at time zone p_zone);
        ends := greatest(ends, present + interval '1 second');
    end if;
    first_date := (starts at time zone p_zone)::date;
    starts_iso := local_iso(p_zone, starts);
    last_iso := local_iso(p_zone, ends - interval '1 second');
end
$$;

-- The labels of a range's intervals, in order, those without events included. p_unit: hour, day,
-- week, month. Hours are those that local clocks show: the one shown twice, when clocks are put
-- back, is one; the one skipped is none. A week that began before the range is named by the range's
-- first day.
create function report_labels(p_zone text, p_unit text, p_starts timestamptz, p_ends timestamptz)
returns table (label text)
language sql stable as $$
    select distinct case p_unit
               when 'hour' then to_char(date_trunc('hour', t.local), 'YYYY-MM-DD HH24:MI:SS')
               when 'week' then greatest(date_trunc('week', t.local)::date,
                                         (p_starts at time zone p_zone)::date)::text
               else date_trunc(p_unit, t.local)::date::text end
    from (
        -- Steps of 15 minutes meet every hour of every zone; days are met by their dates.
        select s at time zone p_zone as local
        from generate_series(p_starts, p_ends - interval '1 microsecond', interval '15 minutes') s
        where p_unit = 'hour'
        union all
        select (p_ends - interval '1 microsecond') at time zone p_zone
        union all
        select d from generate_series(((p_starts at time zone p_zone)::date)::timestamp,
            (p_ends - interval '1 microsecond') at time zone p_zone, interval '1 day') d
        where p_unit <> 'hour'
    ) t
    order by 1
$$;

revoke execute on all functions in schema public from public;
grant execute on function local_midnight, local_iso, event_first, report_range, report_labels
    to footfall_query;
