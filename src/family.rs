//! A family of contexts: who it is, and what its loads read through.
//!
//! The session has one; every independent context begins another one, which Lua holds as a userdata and which ends with it. Which loads
//! and contexts belong to it is kept by [`crate::session`], under its id.

use std::sync::Arc;

use engine::caches::Caches;
use engine::contexts::FamilyId;
use engine::pipeline::Engine;
use mlua::UserData;

use crate::caches::{Garbage, Large};

pub(crate) struct Family {
    pub(crate) id: FamilyId,
    pub(crate) engine: Engine,
    pub(crate) caches: Arc<Caches>,
}

impl Family {
    pub(crate) fn new(id: FamilyId, caches: Arc<Caches>) -> Self {
        Self { id, engine: Engine::new(Arc::clone(caches.files())), caches }
    }
}

impl Large for Family {
    fn is_large(&self) -> bool {
        true
    }
}

/// What Lua holds of an independent context's family.
pub(crate) struct LuaFamily(Garbage<Family>);

impl LuaFamily {
    pub(crate) fn new(family: Arc<Family>) -> Self {
        Self(Garbage::new(family))
    }

    pub(crate) fn get(&self) -> Arc<Family> {
        Arc::clone(self.0.get())
    }
}

impl UserData for LuaFamily {}
