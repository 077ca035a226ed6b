-- 0007_rules.sql: what a site takes, and what it refuses. Ingresses refuse what they can tell by the request,
-- workers what needs a look-up; both are counted (metrics/0011_dropped.sql).
alter table site
    add column origin_required boolean not null default false, -- refuse events without an Origin header
    add column bots text not null default 'mark' check (bots in ('mark', 'refuse')),
    add column honour_dnt boolean not null default false;      -- refuse what comes with DNT: 1 or Sec-GPC: 1

-- The rules of a site. Two kinds let in, the others refuse:
--   origin   where events may come from, once any is listed: https://example.org, "*" for any bytes
--   alias    a further host of the site: events may name it, and it is no source of visits
--   ip       an address or network
--   country  ISO 3166-1 alpha-2, of the client's address
--   host     of the page, "*" for any bytes
--   path     of the page, as it is stored, "*" for any bytes
--   agent    a part of the User-Agent; with "*", all of it. Upper and lower case are the same
-- Values are stored as site_rule_value() writes them.
create table site_rule (
    site_id integer not null references site on delete cascade,
    kind    text    not null check (kind in ('origin', 'alias', 'ip', 'country', 'host', 'path', 'agent')),
    value   text    not null,
    constraint site_rule_pk primary key (site_id, kind, value)
);
-- A host is one site's.
create unique index site_rule_alias on site_rule (value) where kind = 'alias';

-- How a rule is written, one way each, so that it can be found and compared. What a person can mend is raised.
create function site_rule_value(p_kind text, p_value text) returns text
language plpgsql immutable as $$
declare
    v text := trim(p_value);
    shown text := left(p_value, 100);
begin
    if coalesce(v, '') = '' or v ~ '[[:cntrl:]]' then
        raise exception 'the value of a rule is a text without line breaks, and not empty';
    end if;
    if octet_length(v) > 500 then
        raise exception 'the value of a rule has more than 500 bytes';
    end if;
    case p_kind
    when 'origin' then
        v := regexp_replace(lower(v), '/$', '');
        v := regexp_replace(regexp_replace(v, '^(https://.*):443$', '\1'), '^(http://.*):80$', '\1');
        if v <> 'null' and v !~ '^[a-z][a-z0-9+.-]*://[^/?#@[:space:]]+$' then
            raise exception '"%" is not an origin: give it as in "https://example.org" or "https://*.example.org"', shown;
        end if;
    when 'alias' then
        v := regexp_replace(lower(v), '^www\.', '');
        if v !~ '^[a-z0-9_]([a-z0-9_-]{0,62}\.)*[a-z0-9_-]{0,62}(:[0-9]{1,5})?$' or length(v) > 253 then
            raise exception '"%" is not a domain: give it as in "example.org"', shown;
        end if;
    when 'ip' then
        begin
            v := abbrev(network(v::inet)::inet);
        exception when others then
            raise exception '"%" is not an address or network: give it as in "192.0.2.7", "192.0.2.0/24" or "2001:db8::/32"', shown;
        end;
    when 'country' then
        v := upper(v);
        if v !~ '^[A-Z]{2}$' then
            raise exception '"%" is not a country: give its two letters, as in "DE"', shown;
        end if;
    when 'host' then
        v := regexp_replace(lower(v), '^www\.', '');
        if v ~ '[/?#@[:space:]]' or length(v) > 253 then
            raise exception '"%" is not a host: give it as in "example.org" or "*.example.org"', shown;
        end if;
    when 'path' then
        if v !~ '^[/*]' or v ~ '[?]' then -- "#": pages that are routed by it are stored with it
            raise exception '"%" is not a path: give it as in "/admin" or "/admin/*", without query', shown;
        end if;
        v := coalesce(nullif(rtrim(v, '/'), ''), '/'); -- as paths of pages are stored
    when 'agent' then
        v := lower(v collate "C"); -- of ASCII letters, as it is compared
    else
        raise exception 'a rule''s kind is origin, alias, ip, country, host, path or agent, not "%"', left(p_kind, 100);
    end case;
    return v;
end
$$;

-- Neither may a domain be another site's alias, nor an alias a domain; and neither looks like a property id, for
-- all three are names of sites, and whoever took another's would take its traffic. The lock makes the looks one.
create function site_name_check() returns trigger language plpgsql as $$
declare
    name text := case when tg_table_name = 'site' then to_jsonb(new) ->> 'domain' else to_jsonb(new) ->> 'value' end;
begin
    if name ~ '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' then
        raise exception '"%" is a property id, not a domain: give it as in "example.org"', name;
    end if;
    perform pg_advisory_xact_lock(hashtext('footfall site names'));
    if tg_table_name = 'site' then
        if exists (select from site_rule where kind = 'alias' and value = new.domain) then
            raise exception '"%" is a further host of another site', new.domain using errcode = 'unique_violation';
        end if;
    elsif new.kind = 'alias' and exists (select from site where domain = new.value) then
        raise exception 'there is a site "%" already', new.value using errcode = 'unique_violation';
    end if;
    return new;
end
$$;
create trigger site_name_check before insert or update of domain on site
    for each row execute function site_name_check();
create trigger site_name_check before insert on site_rule
    for each row when (new.kind = 'alias') execute function site_name_check();

-- Add a rule. Bounded: ingresses hold all of them, and look through a site's for each of its events.
create function site_rule_add(p_site integer, p_kind text, p_value text) returns site_rule
language plpgsql as $$
declare
    made site_rule;
begin
    perform from site where id = p_site for update;
    if (select count(*) from site_rule where site_id = p_site) >= 500 then
        raise exception 'the site has 500 rules already, which is the most';
    end if;
    if p_kind = 'alias' and (select count(*) from site_rule where site_id = p_site and kind = 'alias') >= 50 then
        raise exception 'the site has 50 further hosts already, which is the most';
    end if;
    insert into site_rule values (p_site, p_kind, site_rule_value(p_kind, p_value))
    on conflict do nothing returning * into made;
    if made.site_id is null then
        raise exception '% has this rule already, or the host is another site''s',
            (select domain from site where id = p_site) using errcode = 'unique_violation';
    end if;
    return made;
end
$$;

-- Remove one, however it is written; false: there is none.
create function site_rule_remove(p_site integer, p_kind text, p_value text) returns boolean
language plpgsql as $$
begin
    delete from site_rule where site_id = p_site and kind = p_kind and value = site_rule_value(p_kind, p_value);
    return found;
end
$$;

-- Change a site, named by its property id or domain; null: as it is.
drop function site_set(text, text, text);
create function site_set(p_name text, p_zone text default null, p_identity text default null, p_bots text default null,
                         p_origin_required boolean default null, p_honour_dnt boolean default null)
returns site language plpgsql as $$
declare
    made site;
begin
    if p_zone is not null and not exists (select from pg_timezone_names where name = p_zone) then
        raise exception '"%" is not a time zone: give it as in "Europe/Berlin"', left(p_zone, 100);
    end if;
    if p_identity not in ('daily', 'persistent') then
        raise exception 'identity is "daily" or "persistent"';
    end if;
    if p_bots not in ('mark', 'refuse') then
        raise exception 'bots is "mark" or "refuse"';
    end if;
    update site set zone = coalesce(p_zone, zone), identity = coalesce(p_identity, identity),
        bots = coalesce(p_bots, bots), origin_required = coalesce(p_origin_required, origin_required),
        honour_dnt = coalesce(p_honour_dnt, honour_dnt)
    where property_id::text = lower(p_name) or domain = regexp_replace(lower(p_name), '^www\.', '')
    returning * into made;
    if made.id is null then
        raise exception 'there is no site "%"', left(p_name, 100);
    end if;
    return made;
end
$$;

create trigger site_rule_changed after insert or update or delete on site_rule
    for each statement execute function snapshot_changed();

-- Workers look up countries and need a site's hosts; addresses are none of their business.
create view site_rule_of_worker as select site_id, kind, value from site_rule where kind in ('alias', 'country');

grant select, insert, delete on site_rule to footfall_console;
grant select on site_rule to footfall_ingress;
grant select on site_rule_of_worker to footfall_worker;
grant execute on function site_rule_value, site_rule_add, site_rule_remove, site_set to footfall_console;
