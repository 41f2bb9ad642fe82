//! Executing a plan: what has one parent runs inside it, what is shared is a task of its own.

use crate::error::Failure;
use crate::plan::{Leaf, Node, NodeId, Plan};
use asupersync_channel::{RecvError, watch};
use asupersync_combinator::{TimeoutError, race_all, timeout, try_join_all};
use asupersync_core::primitive::{AtomicU32, Mutex, Ordering};
use asupersync_core::{
    CancelKind, CancelReason, Cx, Outcome, Policy, RegionOptions, Scope, TaskBody, TaskHandle, cap,
};
use std::pin::Pin;
use std::sync::Arc;

type Values<T, E> = Result<Vec<T>, Failure<E>>;
type Answer<T, E> = watch::Sender<Option<Values<T, E>>>;
type Running<'a, T, E> = Pin<Box<dyn Future<Output = Values<T, E>> + Send + 'a>>;

/// Executes a plan; `bodies` gives the code behind each leaf, and is asked once for every leaf that the
/// plan can reach, before anything runs.
///
/// What has one parent runs in the caller's task, as with the combinators of
/// [`asupersync_combinator`]. A node with several parents is a task of its own, which starts when the
/// first of them wants it and is cancelled when none can want it any more. Everything runs in a
/// region called "plan", and has ended when this returns.
///
/// # Errors
/// The first [`Failure`] that the plan does not race away. `Outcome::Cancelled` when the enclosing scope
/// was cancelled and a leaf heard of it.
///
/// # Panics
/// Passes on the panic of a leaf that runs in the caller's task. That of a shared part is the
/// `Outcome::Panicked`.
///
/// # Cancel safety
/// Awaited, every leaf that began ends by itself, and is told when it is not wanted any more. Values
/// that were not returned are dropped. If the future is dropped, leaves in the caller's task are
/// dropped where they stand; shared parts are cancelled and the surrounding region waits for them.
///
/// # Budget
/// A task for each shared node; one allocation for each node that runs.
#[track_caller]
pub fn execute<'a, T, E, B, F>(
    cx: &'a Cx,
    plan: &Plan,
    mut bodies: F,
) -> impl Future<Output = Outcome<Vec<T>, Failure<E>>> + use<'a, T, E, B, F>
where
    F: FnMut(&Leaf) -> B,
    T: Clone + Send + Sync + 'static,
    E: Send + Sync + 'static,
    B: for<'c> AsyncFnOnce(&'c Cx) -> Result<T, E>,
    B: for<'c> TaskBody<'c, cap::All, T, E> + Send + 'static,
{
    let uses = plan.uses();
    let mut leaf = |node: &Node| match node {
        Node::Leaf(id) => Some(Mutex::new(Some(bodies(plan.leaf(*id))))),
        _ => None,
    };
    let bodies = plan.nodes.iter().map(&mut leaf).collect();
    let shared = uses.iter().map(|&uses| (uses > 1).then(|| Shared::new(uses))).collect();
    let execution = Arc::new(Execution {
        nodes: plan.nodes.clone(),
        leaves: plan.leaves.clone(),
        bodies,
        shared,
    });
    let root = plan.root();
    let options = RegionOptions::new().name("plan").policy(Policy::CollectAll);
    cx.region_with(options, async move |scope| {
        for index in (0..execution.nodes.len()).filter(|index| execution.shared[*index].is_some()) {
            execution.spawn(scope, NodeId(index as u32));
        }
        Edge { execution, node: root, unused: true }.run(cx).await
    })
}

struct Execution<T, E, B> {
    nodes: Vec<Node>,
    leaves: Vec<Leaf>,
    // By node, for leaves. Taken when the leaf starts.
    bodies: Vec<Option<Mutex<Option<B>>>>,
    // By node, for those with more than one parent.
    shared: Vec<Option<Shared<T, E>>>,
}

struct Shared<T, E> {
    // How many parents may still want it.
    interest: AtomicU32,
    wanted: watch::Sender<bool>,
    task: Mutex<Option<TaskHandle<(), Failure<E>>>>,
    result: watch::Receiver<Option<Values<T, E>>>,
    // Moves to the task. When the task ends without having sent, the receivers see it closed.
    answer: Mutex<Option<Answer<T, E>>>,
}

impl<T, E> Shared<T, E> {
    fn new(parents: u32) -> Shared<T, E> {
        let (answer, result) = watch::channel(None);
        let (wanted, _) = watch::channel(false);
        Shared {
            interest: AtomicU32::new(parents),
            wanted,
            task: Mutex::new(None),
            result,
            answer: Mutex::new(Some(answer)),
        }
    }
}

impl<T, E, B> Execution<T, E, B>
where
    T: Clone + Send + Sync + 'static,
    E: Send + Sync + 'static,
    B: for<'c> AsyncFnOnce(&'c Cx) -> Result<T, E>,
    B: for<'c> TaskBody<'c, cap::All, T, E> + Send + 'static,
{
    /// The task of a shared node. It waits until somebody wants the node.
    fn spawn(self: &Arc<Self>, scope: &Scope<Failure<E>>, node: NodeId) {
        let Some(shared) = &self.shared[node.index()] else { return };
        let answer = shared.answer.lock().take();
        let mut wanted = shared.wanted.subscribe();
        let execution = self.clone();
        let edges = self.edges(node);
        let task = scope.spawn_named(format!("plan #{}", node.0), async move |cx: &Cx| {
            if wanted.wait_for(cx, |wanted| *wanted).await.is_err() {
                return Ok(());
            }
            let values = execution.perform(cx, node, edges).await;
            if let Some(answer) = answer {
                drop(answer.send_replace(Some(values)));
            }
            // A failure belongs to those who want the node, not to the region.
            Ok(())
        });
        *shared.task.lock() = Some(task);
    }

    /// What joins a node with the nodes below it.
    fn edges(self: &Arc<Self>, node: NodeId) -> Vec<Edge<T, E, B>> {
        let children = self.nodes[node.index()].children();
        children.iter().map(|&node| Edge { execution: self.clone(), node, unused: true }).collect()
    }

    fn perform<'a>(
        self: Arc<Self>,
        cx: &'a Cx,
        node: NodeId,
        edges: Vec<Edge<T, E, B>>,
    ) -> Running<'a, T, E> {
        Box::pin(async move {
            match &self.nodes[node.index()] {
                Node::Leaf(leaf) => {
                    let body =
                        self.bodies[node.index()].as_ref().and_then(|body| body.lock().take());
                    let Some(body) = body else { return Err(Failure::Lost) };
                    let name = || self.leaves[leaf.index()].shared_name();
                    let done = body(cx).await;
                    done.map(|value| vec![value])
                        .map_err(|error| Failure::Leaf { leaf: name(), error: Arc::new(error) })
                }
                Node::Join(_) => {
                    let parts =
                        try_join_all(cx, edges.into_iter().map(|edge| edge.run(cx))).await?;
                    Ok(parts.into_iter().flatten().collect())
                }
                Node::Race(_) => race_all(cx, edges.into_iter().map(|edge| edge.run(cx))).await?,
                Node::Sequence(_) => {
                    let mut values = Vec::new();
                    for edge in edges {
                        values.extend(edge.run(cx).await?);
                    }
                    Ok(values)
                }
                Node::Timeout(limit, _) => {
                    let limit = *limit;
                    let Some(edge) = edges.into_iter().next() else { return Err(Failure::Lost) };
                    match timeout(cx, limit, edge.run(cx)).await {
                        Ok(values) => values,
                        Err(TimeoutError::Cancelled(cancelled)) => Err(cancelled.into()),
                        Err(_) => Err(Failure::TimedOut { limit }),
                    }
                }
            }
        })
    }
}

impl<T, E, B> Execution<T, E, B> {
    /// A parent of this node has ended, or will never start.
    fn release(&self, node: NodeId) {
        let mut released = vec![node];
        while let Some(node) = released.pop() {
            let Some(shared) = &self.shared[node.index()] else {
                // It runs inside its one parent, so it never started.
                released.extend(self.nodes[node.index()].children());
                continue;
            };
            // AcqRel: the last one sees the handle, whoever else released before.
            if shared.interest.fetch_sub(1, Ordering::AcqRel) == 1 {
                let reason = CancelReason::new(CancelKind::RaceLost)
                    .with_message("nothing in the plan can want this part any more");
                let task = shared.task.lock().take();
                if let Some(task) = task {
                    task.cancel(reason);
                }
            }
        }
    }
}

/// A parent's claim on a node below it.
struct Edge<T, E, B> {
    execution: Arc<Execution<T, E, B>>,
    node: NodeId,
    unused: bool,
}

impl<T, E, B> Edge<T, E, B>
where
    T: Clone + Send + Sync + 'static,
    E: Send + Sync + 'static,
    B: for<'c> AsyncFnOnce(&'c Cx) -> Result<T, E>,
    B: for<'c> TaskBody<'c, cap::All, T, E> + Send + 'static,
{
    /// The node's values: of its task where it has one, otherwise it runs here.
    fn run(mut self, cx: &Cx) -> Running<'_, T, E> {
        Box::pin(async move {
            let Some(shared) = &self.execution.shared[self.node.index()] else {
                self.unused = false;
                let edges = self.execution.edges(self.node);
                return self.execution.clone().perform(cx, self.node, edges).await;
            };
            drop(shared.wanted.send_replace(true));
            let mut result = shared.result.clone();
            match result.wait_for(cx, Option::is_some).await {
                Ok(values) => (*values).clone().unwrap_or(Err(Failure::Lost)),
                Err(RecvError::Cancelled(cancelled)) => Err(cancelled.into()),
                Err(RecvError::Closed) => Err(Failure::Lost),
            }
        })
    }
}

impl<T, E, B> Drop for Edge<T, E, B> {
    fn drop(&mut self) {
        if self.unused {
            self.execution.release(self.node);
        }
    }
}
