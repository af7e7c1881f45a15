//! Which context belongs to which project: identities and the last plan of each, without the values that users see.
//!
//! A context belongs to one project (its root and name). It begins unbound, is bound by the first load that finds its project,
//! and can be unbound again; a load of a project that has a context brings that one back.

use std::collections::HashMap;
use std::sync::Arc;

use crate::plan::{Plan, Project};

/// One context. Never given out twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ContextId(pub u64);

/// All contexts of a session.
#[derive(Debug, Default)]
pub struct Contexts {
    last_id: u64,
    bound: HashMap<Project, ContextId>,
    /// The plan whose JSON a context shows.
    plans: HashMap<ContextId, Arc<Plan>>,
}

impl Contexts {
    /// A new, unbound context.
    pub fn create(&mut self) -> ContextId {
        self.last_id += 1;
        ContextId(self.last_id)
    }

    /// The plan that the project's context shows, if it has one.
    pub fn shown(&self, project: &Project) -> Option<Arc<Plan>> {
        self.bound.get(project).and_then(|id| self.plans.get(id)).cloned()
    }

    /// All contexts that belong to a project.
    pub fn all_bound(&self) -> Vec<ContextId> {
        self.bound.values().copied().collect()
    }

    /// The context bound to this project.
    pub fn bound(&self, project: &Project) -> Option<ContextId> {
        self.bound.get(project).copied()
    }

    /// The context of this project: the one bound to it, else `draft`, which is bound by this, else (when `draft` was bound to
    /// another project meanwhile) a new one.
    pub fn bind(&mut self, draft: ContextId, project: &Project) -> ContextId {
        if let Some(id) = self.bound.get(project) {
            return *id;
        }
        let taken = self.bound.values().any(|id| *id == draft);
        let id = if taken { self.create() } else { draft };
        self.bound.insert(project.clone(), id);
        id
    }

    /// Notes that the context shows this plan now, and returns the one it showed: freeing a big plan takes its time. Nothing for a
    /// context that is not bound to the plan's project (any more).
    pub fn show(&mut self, id: ContextId, plan: Arc<Plan>) -> Option<Arc<Plan>> {
        if self.bound.get(plan.project()) == Some(&id) { self.plans.insert(id, plan) } else { None }
    }

    /// Makes a context belong to no project and show nothing. Returns what it showed: freeing a big plan takes its time.
    pub fn unbind(&mut self, id: ContextId) -> Option<Arc<Plan>> {
        self.bound.retain(|_, bound| *bound != id);
        self.plans.remove(&id)
    }

    /// Forgets every context; identities go on counting. Returns what they showed.
    pub fn clear(&mut self) -> Vec<Arc<Plan>> {
        self.bound.clear();
        self.plans.drain().map(|(_, plan)| plan).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn project(name: &str) -> Project {
        Project { root: format!("/src/{name}").into(), name: name.into() }
    }

    #[test]
    fn the_first_load_binds_the_draft_and_the_next_finds_it_again() {
        let mut contexts = Contexts::default();
        let first = contexts.create();
        assert_eq!(contexts.bind(first, &project("a")), first);
        let draft = contexts.create();
        assert_eq!(contexts.bind(draft, &project("a")), first);
        assert_eq!(contexts.bind(draft, &project("b")), draft);
    }

    #[test]
    fn a_draft_that_another_load_bound_meanwhile_is_left_to_it() {
        let mut contexts = Contexts::default();
        let draft = contexts.create();
        contexts.bind(draft, &project("a"));
        let other = contexts.bind(draft, &project("b"));
        assert_ne!(other, draft);
        assert_eq!(contexts.bind(draft, &project("a")), draft);
    }

    #[test]
    fn the_same_name_at_another_root_is_another_project() {
        let mut contexts = Contexts::default();
        let a = contexts.create();
        contexts.bind(a, &project("a"));
        let b = contexts.create();
        let elsewhere = Project { root: "/elsewhere/a".into(), ..project("a") };
        assert_eq!(contexts.bind(b, &elsewhere), b);
    }

    #[test]
    fn an_unbound_context_can_be_bound_to_another_project() {
        let mut contexts = Contexts::default();
        let id = contexts.create();
        contexts.bind(id, &project("a"));
        contexts.unbind(id);
        assert_eq!(contexts.bind(id, &project("b")), id);
    }
}
