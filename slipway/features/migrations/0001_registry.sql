create schema if not exists features;

-- Moves by one whenever something was really changed; an unchanged apply leaves it alone.
create table features.revision (
    number bigint generated always as identity primary key,
    at timestamptz not null default now(),
    changed text[] not null
);

create table features.entity (
    name text primary key,
    description text not null
);

create table features.source (
    name text primary key,
    owner text not null,
    description text not null,
    definition jsonb not null
);

-- A version is a hash of what its values mean: rows are added and never changed, but for owner, description and ttl.
create table features.view (
    name text not null,
    version text not null,
    entity text not null references features.entity (name),
    source text not null references features.source (name),
    ttl_s double precision,
    owner text not null,
    description text not null,
    primary key (name, version)
);

create table features.feature (
    view text not null,
    version text not null,
    name text not null,
    position integer not null,
    column_name text not null,
    dtype text not null,
    vocabulary text[] not null,
    primary key (view, version, name),
    foreign key (view, version) references features.view (name, version)
);

create table features.feature_set (
    hash text primary key,
    name text not null,
    owner text not null,
    description text not null
);

-- The list is pinned: a view version that a set reads can't be dropped.
create table features.feature_set_feature (
    hash text not null references features.feature_set (hash),
    position integer not null,
    view text not null,
    version text not null,
    feature text not null,
    primary key (hash, position),
    foreign key (view, version, feature) references features.feature (view, version, name)
);
