// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! The session table.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use crate::capabilities::SessionIds;
use crate::session::Session;
use crate::status::{Result, StatusError};

/// All sessions by session ID. A removed session is freed after the requests that use it.
pub struct SessionTable {
    capacity: usize,
    /// How a session ID follows from a number.
    ids: SessionIds,
    inner: RwLock<Inner>,
    leaked: AtomicU64,
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
    /// Creates an empty table for `capacity` sessions.
    pub(crate) fn new(capacity: usize, ids: SessionIds) -> Self {
        SessionTable { capacity, ids, inner: RwLock::default(), leaked: AtomicU64::new(0) }
    }

    fn read(&self) -> RwLockReadGuard<'_, Inner> {
        self.inner.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Inner> {
        self.inner.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a session and returns its ID. Returns `NoSpc` if the table is full.
    pub fn insert(&self, session: Session) -> Result<u64> {
        let mut inner = self.write();
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
        inner.sessions.insert(id, Arc::new(session));
        inner.last = Some(id);
        Ok(id)
    }

    /// Adds a session with an ID that a fault has chosen. Replaces a session with this ID.
    pub fn insert_as(&self, id: u64, session: Session) {
        self.write().sessions.insert(id, Arc::new(session));
    }

    /// Returns the ID that was assigned last.
    pub fn last(&self) -> Option<u64> {
        self.read().last
    }

    /// Returns the session with this ID.
    pub(crate) fn get(&self, id: u64) -> Option<Arc<Session>> {
        self.read().sessions.get(&id).cloned()
    }

    /// Removes a session.
    pub(crate) fn remove(&self, id: u64) -> Option<Arc<Session>> {
        let mut inner = self.write();
        let session = inner.sessions.remove(&id)?;
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
            self.write().dropped.insert(id);
        }
    }

    /// Returns whether this ID belongs to a session that was removed without the driver's
    /// knowledge. Removes the ID from the set, because the response to the DESTROY informs the
    /// driver.
    pub(crate) fn take_dropped(&self, id: u64) -> bool {
        self.write().dropped.remove(&id)
    }

    /// Removes all sessions and counts them as leaked. The driver may still send a DESTROY for
    /// them: the specification does not say that a reset destroys sessions.
    pub(crate) fn clear(&self) {
        let mut inner = self.write();
        let count = inner.sessions.len() as u64;
        self.leaked.fetch_add(count, Ordering::Relaxed);
        let mut dropped = std::mem::take(&mut inner.dropped);
        dropped.extend(inner.sessions.keys());
        *inner = Inner { dropped, ..Inner::default() };
    }

    /// Removes all sessions for a new driver, which knows none of the old IDs.
    pub(crate) fn discard(&self) {
        *self.write() = Inner::default();
    }

    /// Returns the number of sessions.
    pub(crate) fn len(&self) -> usize {
        self.read().sessions.len()
    }

    /// Returns the number of sessions that [`SessionTable::clear`] has removed.
    pub(crate) fn leaked(&self) -> u64 {
        self.leaked.load(Ordering::Relaxed)
    }
}
