create schema if not exists monitoring;

create table monitoring.journal (
    stream text not null,
    seq bigint not null check (seq >= 0),
    at timestamptz not null,
    kind text not null,
    actor text not null,
    -- json, not jsonb: the hash is over these very characters.
    body json not null,
    previous text not null,
    hash text not null,
    -- Of two writers of one stream the second fails here: this is what keeps a second controller from acting.
    primary key (stream, seq)
);

create function monitoring.refuse_change() returns trigger language plpgsql as $$
begin
    raise exception 'monitoring.journal is append-only: % is refused', tg_op;
end
$$;

create trigger journal_is_append_only before update or delete on monitoring.journal
    for each row execute function monitoring.refuse_change();

create trigger journal_is_never_emptied before truncate on monitoring.journal
    for each statement execute function monitoring.refuse_change();
