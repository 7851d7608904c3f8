//! What a reload cannot change.

use super::Config;

impl Config {
    /// The keys that differ between `old` and `new` and take effect only at the next start: the front
    /// is built once with all of `[server]`, memory and threads are laid out once, and the model fixes
    /// the size of every stored vector. Everything else holds from the next request on.
    pub fn needs_restart(old: &Config, new: &Config) -> Vec<&'static str> {
        let (server, limits, cache, semantic) = (&new.server, &new.limits, &new.cache, &new.semantic);
        let checks = [
            ("server.listen", old.server.listen != server.listen),
            ("server.admin_listen", old.server.admin_listen != server.admin_listen),
            ("server.admin_token", old.server.admin_token != server.admin_token),
            ("server.drain", old.server.drain != server.drain),
            ("server.max_body", old.limits.max_body != limits.max_body),
            ("server.max_headers", old.limits.max_headers != limits.max_headers),
            ("server.header_timeout", old.limits.header_timeout != limits.header_timeout),
            ("server.body_timeout", old.limits.body_timeout != limits.body_timeout),
            ("server.max_connections", old.limits.max_connections != limits.max_connections),
            ("cache.memory", old.cache.memory != cache.memory),
            ("semantic.model", old.semantic.model != semantic.model),
            ("semantic.models_dir", old.semantic.models_dir != semantic.models_dir),
            ("semantic.runtime", old.semantic.runtime != semantic.runtime),
            ("semantic.threads", old.semantic.threads != semantic.threads),
            ("semantic.queue", old.semantic.queue != semantic.queue),
            ("semantic.hnsw_from", old.semantic.hnsw_from != semantic.hnsw_from),
            ("semantic.cross_encoder", old.semantic.cross_encoder != semantic.cross_encoder),
            ("semantic.state", old.semantic.state != semantic.state),
            ("redis", old.redis != new.redis),
            ("store.path", old.store.path != new.store.path),
            ("store.max_bytes", old.store.max_bytes != new.store.max_bytes),
            ("store.encryption_key", old.store.encryption_key != new.store.encryption_key),
            ("store.encryption_key_old", old.store.encryption_key_old != new.store.encryption_key_old),
            ("store.reembed_rate", old.store.reembed_rate != new.store.reembed_rate),
            ("ledger.path", old.accounts.ledger.path != new.accounts.ledger.path),
            ("ledger.url", old.accounts.ledger.url != new.accounts.ledger.url),
            ("ledger.audit", old.accounts.ledger.audit != new.accounts.ledger.audit),
            ("ledger.keep", old.accounts.ledger.keep != new.accounts.ledger.keep),
            ("log.filter", old.log.filter != new.log.filter),
            ("log.json", old.log.json != new.log.json),
        ];
        // Without a model at the start, none is loaded later.
        let first_meaning = !old.wants_semantic() && new.wants_semantic();
        let checks = checks.into_iter().chain([("semantic.mode", first_meaning)]);
        checks.filter(|(_, differs)| *differs).map(|(key, _)| key).collect()
    }
}
