//! The drivers that programs find.

use crate::replay::Drivers;
use asupersync_core::{BlockingJob, BlockingPool, Host};
use asupersync_net::{VirtualNetwork, VirtualOptions};
use asupersync_os::VirtualSignals;
use asupersync_os::fs::VirtualFiles;
use asupersync_reactor::Taped;
use std::any::{Any, TypeId};
use std::fmt;
use std::sync::{Arc, Weak};

/// What a driver is made from.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ServiceContext {
    /// The seed of the run.
    pub seed: u64,
    /// The host, for a driver that reads the clock or arms timers. Weak, because the host keeps the
    /// driver.
    pub host: Weak<dyn Host>,
}

/// Runs blocking closures where they are submitted: one step, no thread.
struct InlinePool;

impl BlockingPool for InlinePool {
    fn submit(&self, job: BlockingJob) {
        job.run();
    }
}

type Erased = Arc<dyn Any + Send + Sync>;
type Make = Arc<dyn Fn(&ServiceContext) -> Erased + Send + Sync>;

/// The drivers that programs find, by type, each made when first asked for in a run.
#[derive(Clone)]
pub(crate) struct Services(Vec<Service>);

#[derive(Clone)]
struct Service {
    of: TypeId,
    make: Make,
    made: Option<Erased>,
}

pub(super) enum Slot {
    Made(Erased),
    Make(Make),
}

impl Default for Services {
    fn default() -> Services {
        let mut services = Services(Vec::new());
        services.add::<Arc<dyn BlockingPool>>(|_| Arc::new(Arc::new(InlinePool)));
        services.add_network(VirtualOptions::default());
        services.add::<VirtualFiles>(|_| Arc::new(VirtualFiles::new()));
        services.add::<VirtualSignals>(|_| Arc::new(VirtualSignals::new()));
        services
    }
}

impl Services {
    /// Registers a driver, in place of one of the same type.
    pub(crate) fn add<T: Any + Send + Sync>(
        &mut self,
        make: impl Fn(&ServiceContext) -> Arc<T> + Send + Sync + 'static,
    ) {
        let of = TypeId::of::<T>();
        self.0.retain(|service| service.of != of);
        self.0.push(Service {
            of,
            make: Arc::new(move |context| make(context) as Erased),
            made: None,
        });
    }

    /// Registers a virtual network with these options, anew for each run.
    pub(crate) fn add_network(&mut self, options: VirtualOptions) {
        self.add::<VirtualNetwork>(move |context| {
            let host = context.host.clone();
            Arc::new(VirtualNetwork::for_host(options.clone(), context.seed, host))
        });
    }

    /// Those of a replay, and no others.
    pub(super) fn of_playback(drivers: &Drivers) -> Services {
        let mut services = Services(Vec::new());
        let (taped, pool) = (Arc::clone(&drivers.taped), Arc::clone(&drivers.pool));
        services.add::<Taped>(move |_| Arc::clone(&taped));
        services.add::<Arc<dyn BlockingPool>>(move |_| {
            Arc::new(Arc::clone(&pool) as Arc<dyn BlockingPool>)
        });
        services
    }

    pub(super) fn find(&self, of: TypeId) -> Option<Slot> {
        let service = self.0.iter().find(|service| service.of == of)?;
        Some(match &service.made {
            Some(made) => Slot::Made(made.clone()),
            None => Slot::Make(service.make.clone()),
        })
    }

    pub(super) fn keep(&mut self, of: TypeId, made: Erased) {
        if let Some(service) = self.0.iter_mut().find(|service| service.of == of) {
            service.made = Some(made);
        }
    }

    pub(super) fn take_made(&mut self) -> Vec<Erased> {
        self.0.iter_mut().filter_map(|service| service.made.take()).collect()
    }
}

impl fmt::Debug for Services {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} services", self.0.len())
    }
}
