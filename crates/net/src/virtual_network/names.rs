//! Names in the virtual network: a table.

use super::VirtualNetwork;
use crate::resolve::{Lookup, Resolve, ResolveCaps};
use asupersync_core::Cx;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

impl VirtualNetwork {
    /// Lets a name resolve to these addresses from now on, the best first; with none, it does not exist
    /// any more. Names are compared without regard to ASCII case and to a dot at their end.
    /// `localhost` is 127.0.0.1 unless told otherwise.
    pub fn set_name(&self, name: &str, addresses: impl IntoIterator<Item = IpAddr>) {
        let addresses: Vec<IpAddr> = addresses.into_iter().collect();
        self.shared.object.write();
        let mut table = self.shared.table.lock();
        if addresses.is_empty() {
            table.names.remove(&canonical(name));
        } else {
            table.names.insert(canonical(name), addresses);
        }
    }

    fn name(&self, name: &str) -> Option<Vec<IpAddr>> {
        self.shared.object.read();
        let name = canonical(name);
        let known = self.shared.table.lock().names.get(&name).cloned();
        known.or_else(|| (name == "localhost").then(|| vec![Ipv4Addr::LOCALHOST.into()]))
    }
}

impl Resolve for VirtualNetwork {
    fn resolve<'a>(&'a self, cx: &'a Cx<ResolveCaps>, name: &'a str, port: u16) -> Lookup<'a> {
        Box::pin(async move {
            cx.checkpoint()?;
            let addresses = self.name(name).ok_or_else(|| {
                io::Error::new(io::ErrorKind::NotFound, "the virtual network has no such name")
            })?;
            Ok(addresses.into_iter().map(|ip| SocketAddr::new(ip, port)).collect())
        })
    }
}

fn canonical(name: &str) -> String {
    name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase()
}
