//! Which context belongs to which project: identities and the last plan of each, without the values that users see.
//!
//! A context belongs to one project (its root and name). It begins unbound, is bound by the first load that finds its project,
//! and can be unbound again; a load of a project that has a context in its family brings that one back.

use std::collections::HashMap;
use std::sync::Arc;

use crate::plan::{Plan, Project};

/// One context. Never given out twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ContextId(pub u64);

/// Contexts that know of each other, with loads of their own: those of the session, or those that began with one independent context.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FamilyId(u64);

impl FamilyId {
    /// The one that has a current context.
    pub const SESSION: Self = Self(0);
}

/// All contexts of a process. A project has one context in each family at most.
#[derive(Debug, Default)]
pub struct Contexts {
    last_id: u64,
    last_family: u64,
    bound: HashMap<FamilyId, HashMap<Project, ContextId>>,
    /// The plan whose JSON a context shows.
    plans: HashMap<ContextId, Arc<Plan>>,
}

impl Contexts {
    /// A new, unbound context.
    pub fn create(&mut self) -> ContextId {
        self.last_id += 1;
        ContextId(self.last_id)
    }

    /// A new family, without contexts.
    pub fn create_family(&mut self) -> FamilyId {
        self.last_family += 1;
        FamilyId(self.last_family)
    }

    /// The plan that the project's context shows, if it has one.
    pub fn shown(&self, family: FamilyId, project: &Project) -> Option<Arc<Plan>> {
        self.bound(family, project).and_then(|id| self.plans.get(&id)).cloned()
    }

    /// The plan that the context shows, if it shows one.
    pub fn plan(&self, id: ContextId) -> Option<Arc<Plan>> {
        self.plans.get(&id).cloned()
    }

    /// All contexts of the family that belong to a project.
    pub fn all_bound(&self, family: FamilyId) -> Vec<ContextId> {
        self.bound.get(&family).into_iter().flat_map(HashMap::values).copied().collect()
    }

    /// The family's context that is bound to this project.
    pub fn bound(&self, family: FamilyId, project: &Project) -> Option<ContextId> {
        self.bound.get(&family)?.get(project).copied()
    }

    /// The context of this project: the family's one that is bound to it, else `draft`, which is bound by this, else (when `draft` was
    /// bound to another project meanwhile) a new one.
    pub fn bind(&mut self, family: FamilyId, draft: ContextId, project: &Project) -> ContextId {
        if let Some(id) = self.bound(family, project) {
            return id;
        }
        let taken = self.bound.values().flat_map(HashMap::values).any(|id| *id == draft);
        let id = if taken { self.create() } else { draft };
        self.bound.entry(family).or_default().insert(project.clone(), id);
        id
    }

    /// Notes that the context shows this plan now, and returns the one it showed: freeing a big plan takes its time. Nothing for a
    /// context that is not bound to the plan's project (any more).
    pub fn show(&mut self, id: ContextId, plan: Arc<Plan>) -> Option<Arc<Plan>> {
        let is_bound = self.bound.values().any(|bound| bound.get(plan.project()) == Some(&id));
        if is_bound { self.plans.insert(id, plan) } else { None }
    }

    /// Makes a context belong to no project and show nothing. Returns what it showed: freeing a big plan takes its time.
    pub fn unbind(&mut self, id: ContextId) -> Option<Arc<Plan>> {
        self.bound.retain(|_, bound| {
            bound.retain(|_, bound| *bound != id);
            !bound.is_empty()
        });
        self.plans.remove(&id)
    }

    /// Forgets every context of the family; identities go on counting. Returns what they showed.
    pub fn clear(&mut self, family: FamilyId) -> Vec<Arc<Plan>> {
        let bound = self.bound.remove(&family).unwrap_or_default();
        bound.into_values().filter_map(|id| self.plans.remove(&id)).collect()
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
        assert_eq!(contexts.bind(FamilyId::SESSION, first, &project("a")), first);
        let draft = contexts.create();
        assert_eq!(contexts.bind(FamilyId::SESSION, draft, &project("a")), first);
        assert_eq!(contexts.bind(FamilyId::SESSION, draft, &project("b")), draft);
    }

    #[test]
    fn a_draft_that_another_load_bound_meanwhile_is_left_to_it() {
        let mut contexts = Contexts::default();
        let draft = contexts.create();
        contexts.bind(FamilyId::SESSION, draft, &project("a"));
        let other = contexts.bind(FamilyId::SESSION, draft, &project("b"));
        assert_ne!(other, draft);
        assert_eq!(contexts.bind(FamilyId::SESSION, draft, &project("a")), draft);
    }

    #[test]
    fn the_same_name_at_another_root_is_another_project() {
        let mut contexts = Contexts::default();
        let a = contexts.create();
        contexts.bind(FamilyId::SESSION, a, &project("a"));
        let b = contexts.create();
        let elsewhere = Project { root: "/elsewhere/a".into(), ..project("a") };
        assert_eq!(contexts.bind(FamilyId::SESSION, b, &elsewhere), b);
    }

    #[test]
    fn an_unbound_context_can_be_bound_to_another_project() {
        let mut contexts = Contexts::default();
        let id = contexts.create();
        contexts.bind(FamilyId::SESSION, id, &project("a"));
        contexts.unbind(id);
        assert_eq!(contexts.bind(FamilyId::SESSION, id, &project("b")), id);
    }

    #[test]
    fn a_project_has_a_context_in_each_family() {
        let mut contexts = Contexts::default();
        let (own, other) = (contexts.create(), contexts.create());
        let family = contexts.create_family();
        assert_ne!(family, FamilyId::SESSION);
        contexts.bind(FamilyId::SESSION, own, &project("a"));
        assert_eq!(contexts.bind(family, other, &project("a")), other);
        contexts.clear(FamilyId::SESSION);
        assert_eq!(contexts.bound(FamilyId::SESSION, &project("a")), None);
        assert_eq!(contexts.all_bound(family), [other]);
        contexts.unbind(other);
        assert!(contexts.bound.is_empty());
    }
}
