//! Lua values read where they lie, for code that looks through whole tables on the main thread: no references, no copies, no
//! metamethods. Beside [`crate::sys`] the only file with `unsafe` code.
//!
//! mlua's own `Table::for_each` costs a protected call for each table and a reference for each string in it, which is most of the
//! time of a comparison that finds nothing. What the values mean is [`crate::compare`]'s to say.

use std::convert::Infallible;
use std::ffi::c_int;
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use mlua::{Lua, Value, ffi};

/// Slots of Lua's stack that one level of nesting takes: a key, a value, and what is asked about the value.
const SLOTS: usize = 3;

/// A value on Lua's stack; what it borrows stays there for `'e`.
#[derive(Clone, Copy)]
pub(crate) enum Raw<'e> {
    Nil,
    Boolean(bool),
    Number(f64),
    String(&'e [u8]),
    Table(RawTable<'e>),
    /// A userdata, full or light, and its address; 0 is the light one for nothing.
    Userdata(usize),
    Function,
    Thread,
    /// A value of LuaJIT's `ffi`.
    Cdata,
}

/// A table on Lua's stack.
#[derive(Clone, Copy)]
pub(crate) struct RawTable<'e> {
    state: *mut ffi::lua_State,
    index: c_int,
    /// How many levels of nesting Lua's stack has room for, this one counted.
    levels: usize,
    stays: PhantomData<&'e ()>,
}

/// Calls `work` with `value`, whose tables it may enter down to `levels` of nesting.
///
/// While it runs, no Lua code may: that is what makes everything here sound. `Send` keeps every handle of mlua's out of it, and
/// nothing that a [`RawTable`] does allocates in Lua, which could start its garbage collector and with it a finaliser.
///
/// # Errors
///
/// Lua's stack cannot grow that far.
pub(crate) fn read<R>(
    lua: &Lua,
    value: &Value,
    levels: usize,
    work: impl for<'e> FnOnce(Raw<'e>) -> R + Send,
) -> mlua::Result<R> {
    let slots = c_int::try_from((levels + 1) * SLOTS).map_err(mlua::Error::external)?;
    let mut outcome = None;
    // SAFETY: the protected call begins with the value as the only one on its stack and `work` leaves it so; no error of Lua's can
    // cross `work`, since what it can call raises none; a panic is kept from crossing Lua.
    unsafe {
        lua.exec_raw::<()>(value, |state| {
            if ffi::lua_checkstack(state, slots) != 0 {
                let value = read_at(state, 1, levels);
                outcome = Some(catch_unwind(AssertUnwindSafe(|| work(value))));
            }
        })?;
    }
    match outcome {
        Some(Ok(result)) => Ok(result),
        Some(Err(panic)) => resume_unwind(panic),
        None => Err(mlua::Error::StackError),
    }
}

/// The value at an absolute index.
///
/// # Safety
///
/// There is a value at `index`, it stays there for `'e`, and above it are free slots for `levels` of nesting.
unsafe fn read_at<'e>(state: *mut ffi::lua_State, index: c_int, levels: usize) -> Raw<'e> {
    // SAFETY: the index is valid; none of these functions raises or allocates for a value of the type that it is asked about.
    unsafe {
        match ffi::lua_type(state, index) {
            ffi::LUA_TNIL => Raw::Nil,
            ffi::LUA_TBOOLEAN => Raw::Boolean(ffi::lua_toboolean(state, index) != 0),
            ffi::LUA_TNUMBER => Raw::Number(ffi::lua_tonumber(state, index)),
            ffi::LUA_TSTRING => {
                let mut len = 0;
                let bytes = ffi::lua_tolstring(state, index, &raw mut len);
                Raw::String(std::slice::from_raw_parts(bytes.cast(), len))
            }
            ffi::LUA_TTABLE => Raw::Table(RawTable { state, index, levels, stays: PhantomData }),
            ffi::LUA_TLIGHTUSERDATA | ffi::LUA_TUSERDATA => Raw::Userdata(ffi::lua_touserdata(state, index).addr()),
            ffi::LUA_TFUNCTION => Raw::Function,
            ffi::LUA_TTHREAD => Raw::Thread,
            _ => Raw::Cdata,
        }
    }
}

impl RawTable<'_> {
    /// What tells this table from every other one while both exist.
    pub(crate) fn identity(self) -> usize {
        // SAFETY: the index is that of a table, by construction.
        unsafe { ffi::lua_topointer(self.state, self.index) }.addr()
    }

    /// The identity of its metatable.
    pub(crate) fn metatable(self) -> Option<usize> {
        // SAFETY: the index is that of a table; the slot above the stack's top is free, by `SLOTS`.
        unsafe {
            if ffi::lua_getmetatable(self.state, self.index) == 0 {
                return None;
            }
            let identity = ffi::lua_topointer(self.state, -1).addr();
            ffi::lua_settop(self.state, -2);
            Some(identity)
        }
    }

    /// Calls `visit` with every key and value, in Lua's order.
    ///
    /// # Panics
    ///
    /// Deeper in tables than [`read`] was told.
    pub(crate) fn for_each(self, mut visit: impl for<'e> FnMut(Raw<'e>, Raw<'e>)) {
        let Ok(()) = self.try_for_each(|key, value| {
            visit(key, value);
            Ok::<(), Infallible>(())
        });
    }

    /// The same until `visit` fails.
    pub(crate) fn try_for_each<E>(
        self,
        mut visit: impl for<'e> FnMut(Raw<'e>, Raw<'e>) -> Result<(), E>,
    ) -> Result<(), E> {
        let levels = self.levels.checked_sub(1).expect("the caller bounds the nesting");
        // SAFETY: there is room for a key and a value, as `levels` was not used up. `lua_next` raises only for a key that is no
        // longer there, and no Lua code runs that could remove it. `visit` leaves the stack as it was: see `Top`.
        unsafe {
            let top = Top::of(self.state);
            ffi::lua_pushnil(self.state);
            let (key, value) = (top.height + 1, top.height + 2);
            while ffi::lua_next(self.state, self.index) != 0 {
                visit(read_at(self.state, key, levels), read_at(self.state, value, levels))?;
                ffi::lua_settop(self.state, key);
            }
        }
        Ok(())
    }

    /// Calls `visit` with the value at a position (from 1).
    ///
    /// # Panics
    ///
    /// Deeper in tables than [`read`] was told.
    pub(crate) fn at<R>(self, position: usize, visit: impl for<'e> FnOnce(Raw<'e>) -> R) -> R {
        let levels = self.levels.checked_sub(1).expect("the caller bounds the nesting");
        let Ok(position) = c_int::try_from(position) else { return visit(Raw::Nil) };
        // SAFETY: there is room for a value, as `levels` was not used up; raw access neither raises nor runs Lua code.
        unsafe {
            let top = Top::of(self.state);
            ffi::lua_rawgeti_(self.state, self.index, position);
            visit(read_at(self.state, top.height + 1, levels))
        }
    }
}

/// Puts Lua's stack back to its height.
struct Top {
    state: *mut ffi::lua_State,
    height: c_int,
}

impl Top {
    /// # Safety
    ///
    /// Nothing is taken off the stack below the height that it has now for as long as this lives.
    unsafe fn of(state: *mut ffi::lua_State) -> Self {
        // SAFETY: asking for the height changes nothing.
        Self { state, height: unsafe { ffi::lua_gettop(state) } }
    }
}

impl Drop for Top {
    fn drop(&mut self) {
        // SAFETY: the stack has not been lower meanwhile, so this only takes values off.
        unsafe { ffi::lua_settop(self.state, self.height) };
    }
}
