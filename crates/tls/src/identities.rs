//! Who we are under which name, changeable while connections are open.

use crate::Identity;
use asupersync_core::primitive::Mutex;
use rustls::SignatureScheme;
use rustls::client::ResolvesClientCert;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// The identities of a server by name, or that of a client. Clones share one table.
///
/// The table is read once in each handshake. A change (a renewed certificate, a new name) holds from
/// the next handshake on; open connections are not touched.
///
/// A server looks for the name that the client asks for (SNI), then for the same name with its first
/// label replaced by `*`, then takes the default. A client presents the default.
///
/// ```
/// use asupersync_tls::{Identities, Identity};
///
/// fn renewed(identities: &Identities, chain: &str, key: &str) -> std::io::Result<()> {
///     identities.set_default(Some(Identity::from_pem(chain, key)?));
///     Ok(())
/// }
/// # let _ = renewed;
/// ```
#[derive(Clone, Default)]
pub struct Identities {
    table: Arc<Mutex<Table>>,
}

#[derive(Default)]
struct Table {
    default: Option<Arc<CertifiedKey>>,
    names: BTreeMap<String, Arc<CertifiedKey>>,
}

impl Identities {
    /// An empty table: a server with it refuses every name, a client presents nothing.
    #[must_use]
    pub fn new() -> Identities {
        Identities::default()
    }

    /// Sets, or with none removes, the identity for clients that name nothing or nothing known.
    pub fn set_default(&self, identity: Option<Identity>) {
        let new = identity.map(|identity| identity.certified);
        let old = std::mem::replace(&mut self.table.lock().default, new);
        drop(old);
    }

    /// Sets, or with none removes, the identity for a name: `www.example.org`, or `*.example.org` for
    /// every name with one label in the star's place. Letters' case does not matter.
    pub fn set(&self, name: &str, identity: Option<Identity>) {
        let name = normal(name);
        let mut table = self.table.lock();
        let old = match identity {
            Some(identity) => table.names.insert(name, identity.certified),
            None => table.names.remove(&name),
        };
        drop(table);
        drop(old);
    }

    pub(crate) fn find(&self, name: Option<&str>) -> Option<Arc<CertifiedKey>> {
        let table = self.table.lock();
        if let Some(name) = name.map(normal) {
            if let Some(found) = table.names.get(&name) {
                return Some(found.clone());
            }
            if let Some((_, rest)) = name.split_once('.')
                && let Some(found) = table.names.get(&format!("*.{rest}"))
            {
                return Some(found.clone());
            }
        }
        table.default.clone()
    }
}

fn normal(name: &str) -> String {
    name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase()
}

impl From<Identity> for Identities {
    fn from(identity: Identity) -> Identities {
        let identities = Identities::new();
        identities.set_default(Some(identity));
        identities
    }
}

impl ResolvesServerCert for Identities {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.find(hello.server_name())
    }
}

impl ResolvesClientCert for Identities {
    fn resolve(&self, _: &[&[u8]], schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        // A key that cannot sign what the server takes is as good as none.
        self.find(None).filter(|certified| certified.key.choose_scheme(schemes).is_some())
    }

    fn has_certs(&self) -> bool {
        self.table.lock().default.is_some()
    }
}

impl fmt::Debug for Identities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let table = self.table.lock();
        f.debug_struct("Identities")
            .field("default", &table.default.is_some())
            .field("names", &table.names.keys().collect::<Vec<_>>())
            .finish()
    }
}

#[cfg(all(test, feature = "self-signed"))]
mod tests {
    use super::*;

    fn identity(name: &str) -> Identity {
        Identity::self_signed([name]).unwrap().identity
    }

    #[test]
    fn a_name_is_served_by_itself_then_by_a_star_then_by_the_default() {
        let identities = Identities::new();
        let found = |name| identities.find(name).map(|key| key.cert[0].to_vec());
        assert_eq!(found(Some("www.example.org")), None);
        let (exact, star, default) = (identity("a"), identity("b"), identity("c"));
        identities.set_default(Some(default.clone()));
        identities.set("*.example.org", Some(star.clone()));
        identities.set("WWW.example.org.", Some(exact.clone()));
        let of = |identity: &Identity| Some(identity.certificate().to_vec());
        assert_eq!(found(Some("www.Example.org")), of(&exact));
        assert_eq!(found(Some("mail.example.org")), of(&star));
        assert_eq!(found(Some("a.mail.example.org")), of(&default), "a star is one label");
        assert_eq!(found(Some("example.org")), of(&default));
        assert_eq!(found(None), of(&default));
        identities.set("www.example.org", None);
        assert_eq!(found(Some("www.example.org")), of(&star));
    }
}
