-- 0006_retention.sql: sites that were removed. The number stays, so that workers, ingresses and archives know
-- for sure; it is never given to another site.
create table site_removed (
    id          integer     not null,
    number      bigint      not null,                -- rises; an archive is free of all up to one of these
    property_id uuid,                                -- until nothing is left, so that it can be asked for again
    domain      text,
    removed_at  timestamptz not null default now(),
    constraint site_removed_pk primary key (id)
);

-- Remove a site, named by its property id or domain: from now on nobody can see it or send to it. Answers it,
-- also when that had been done and something of it is left elsewhere. Numbers are of the clock, so that they rise
-- also when an older dump was restored; the lock makes them become known in their order.
create function site_remove(p_name text) returns site_removed
language plpgsql as $$
declare
    gone site;
    made site_removed;
begin
    lock table site_removed in share row exclusive mode;
    delete from site
    where property_id::text = lower(p_name) or domain = regexp_replace(lower(p_name), '^www\.', '')
    returning * into gone;
    if gone.id is not null then
        insert into site_removed (id, number, property_id, domain)
        select gone.id, greatest((extract(epoch from clock_timestamp()) * 1000000)::bigint, max(number) + 1),
               gone.property_id, gone.domain
        from site_removed
        returning * into made;
        return made;
    end if;
    select * into made from site_removed
    where property_id::text = lower(p_name) or domain = regexp_replace(lower(p_name), '^www\.', '')
    order by number limit 1;
    if made.id is null then
        raise exception 'there is no site "%"', left(p_name, 100);
    end if;
    return made;
end
$$;

grant select (id, number) on site_removed to footfall_ingress;
grant select (id) on site_removed to footfall_worker;
grant select, insert, update on site_removed to footfall_console;
grant execute on function site_remove to footfall_console;
