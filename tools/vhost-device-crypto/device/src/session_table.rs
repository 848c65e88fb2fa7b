// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! The session table.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use crate::capabilities::SessionIds;
use crate::session::Session;
use crate::status::{Result, StatusError};

/// All sessions by session ID. A removed session is freed after the requests that use it.
///
/// The data queues look sessions up in views. Each queue has its own view, so that looking up a
/// session writes to no memory that another queue uses.
pub struct SessionTable {
    capacity: usize,
    /// How a session ID follows from a number.
    ids: SessionIds,
    inner: Mutex<Inner>,
    views: Vec<View>,
    leaked: AtomicU64,
}

/// Maximum number of views. More queues share views.
const MAX_VIEWS: usize = 8;

/// A session in a view. The outer counter counts the references through this view only.
pub(crate) type SessionRef = Arc<Arc<Session>>;

type Sessions = HashMap<u64, SessionRef, BuildHasherDefault<IdHasher>>;

/// The sessions as some queues see them, in cache lines of its own.
#[derive(Default)]
#[repr(align(64))]
struct View(RwLock<Sessions>);

impl View {
    fn read(&self) -> RwLockReadGuard<'_, Sessions> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Sessions> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Hashes a session ID. The device chooses the IDs, so a driver cannot cause collisions.
#[derive(Default)]
struct IdHasher(u64);

impl Hasher for IdHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|&byte| self.write_u64(byte.into()));
    }

    fn write_u64(&mut self, id: u64) {
        // The table uses the highest and the lowest bits.
        let id = id ^ id.rotate_left(32);
        self.0 = (self.0 ^ id).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.0 ^= self.0 >> 32;
    }
}

#[derive(Default)]
struct Inner {
    sessions: HashMap<u64, Arc<Session>>,
    /// Numbers of removed sessions, which can be assigned again.
    free: BTreeSet<u64>,
    /// The lowest number that was never assigned.
    next_number: u64,
    /// The ID that was assigned last.
    last: Option<u64>,
    /// IDs of sessions that were removed without the driver's knowledge.
    dropped: HashSet<u64>,
}

impl SessionTable {
    /// Creates an empty table for `capacity` sessions and this number of data queues.
    pub(crate) fn new(capacity: usize, ids: SessionIds, queues: u16) -> Self {
        let views = usize::from(queues).clamp(1, MAX_VIEWS);
        SessionTable {
            capacity,
            ids,
            inner: Mutex::default(),
            views: (0..views).map(|_| View::default()).collect(),
            leaked: AtomicU64::new(0),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a session to all views. The lock is held, so that all views change in the same order.
    fn publish(&self, _inner: &Inner, id: u64, session: &Arc<Session>) {
        for view in &self.views {
            view.write().insert(id, Arc::new(session.clone()));
        }
    }

    /// Adds a session and returns its ID. Returns `NoSpc` if the table is full.
    pub fn insert(&self, session: Session) -> Result<u64> {
        let mut inner = self.lock();
        if inner.sessions.len() >= self.capacity {
            return Err(StatusError::NoSpc);
        }
        let id = loop {
            let number = inner.free.pop_first().unwrap_or_else(|| {
                inner.next_number += 1;
                inner.next_number - 1
            });
            let id = match self.ids {
                SessionIds::Sequential => number,
                SessionIds::Sparse => number.reverse_bits(),
            };
            // A session that a fault added with `insert_as` may already have the ID.
            if !inner.sessions.contains_key(&id) {
                break id;
            }
        };
        inner.dropped.remove(&id);
        let session = Arc::new(session);
        self.publish(&inner, id, &session);
        inner.sessions.insert(id, session);
        inner.last = Some(id);
        Ok(id)
    }

    /// Adds a session with an ID that a fault has chosen. Replaces a session with this ID.
    pub fn insert_as(&self, id: u64, session: Session) {
        let (mut inner, session) = (self.lock(), Arc::new(session));
        self.publish(&inner, id, &session);
        inner.sessions.insert(id, session);
    }

    /// Returns the ID that was assigned last.
    pub fn last(&self) -> Option<u64> {
        self.lock().last
    }

    /// Returns the session with this ID.
    pub(crate) fn get(&self, id: u64) -> Option<Arc<Session>> {
        self.lock().sessions.get(&id).cloned()
    }

    /// Returns the session with this ID for a request of a data queue.
    pub(crate) fn find(&self, queue: u16, id: u64) -> Option<SessionRef> {
        self.views[usize::from(queue) % self.views.len()].read().get(&id).cloned()
    }

    /// Removes a session.
    pub(crate) fn remove(&self, id: u64) -> Option<Arc<Session>> {
        let mut inner = self.lock();
        let session = inner.sessions.remove(&id)?;
        for view in &self.views {
            view.write().remove(&id);
        }
        let number = match self.ids {
            SessionIds::Sequential => id,
            SessionIds::Sparse => id.reverse_bits(),
        };
        if number < inner.next_number {
            inner.free.insert(number);
        }
        Some(session)
    }

    /// Removes a session without the driver's knowledge.
    pub fn drop_silently(&self, id: u64) {
        if self.remove(id).is_some() {
            self.lock().dropped.insert(id);
        }
    }

    /// Returns whether this ID belongs to a session that was removed without the driver's
    /// knowledge. Removes the ID from the set, because the response to the DESTROY informs the
    /// driver.
    pub(crate) fn take_dropped(&self, id: u64) -> bool {
        self.lock().dropped.remove(&id)
    }

    /// Removes all sessions and counts them as leaked. The driver may still send a DESTROY for
    /// them: the specification does not say that a reset destroys sessions.
    pub(crate) fn clear(&self) {
        let mut inner = self.lock();
        self.clear_views();
        let count = inner.sessions.len() as u64;
        self.leaked.fetch_add(count, Ordering::Relaxed);
        let mut dropped = std::mem::take(&mut inner.dropped);
        dropped.extend(inner.sessions.keys());
        *inner = Inner { dropped, ..Inner::default() };
    }

    /// Removes all sessions for a new driver, which knows none of the old IDs.
    pub(crate) fn discard(&self) {
        let mut inner = self.lock();
        self.clear_views();
        *inner = Inner::default();
    }

    fn clear_views(&self) {
        self.views.iter().for_each(|view| view.write().clear());
    }

    /// Returns the number of sessions.
    pub(crate) fn len(&self) -> usize {
        self.lock().sessions.len()
    }

    /// Returns the number of sessions that [`SessionTable::clear`] has removed.
    pub(crate) fn leaked(&self) -> u64 {
        self.leaked.load(Ordering::Relaxed)
    }
}
