//! Resources: made with a name, listed, and removed with their hits.
//!
//! | | in the database | in the ring |
//! |---|---|---|
//! | made by a request | id, name, time | the endpoint `hits/ID`, from the same moment on |
//! | made by its first hit | | the endpoint |
//! | removed | | |
//!
//! So a hit looks into the ring alone to know whether there is such a resource.
//!
//! Tests: `tests/python/integration/test_serve_resources.py`.

use std::sync::Arc;

use uuid::{NoContext, Uuid};

use super::name::{Name, NameError};
use super::{Refusal, Service};
use crate::store::{Resource, StoreError};
use crate::time::Timestamp;

/// A resource, however it was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Its id.
    pub id: String,
    /// Its name; the id, if its first hit made it.
    pub name: String,
    /// When it was made; `None` if its first hit made it.
    pub created: Option<Timestamp>,
}

impl Service {
    /// Makes a resource that is called `name`, and tells `done` of it.
    ///
    /// # Errors
    /// [`Refusal::Lost`], and then `done` is not called.
    pub fn create_resource(
        &self,
        name: String,
        done: impl FnOnce(Result<Listed, Refusal>) + Send + 'static,
    ) -> Result<(), Refusal> {
        self.check()?;
        let now = self.ring.clock().now();
        let micros = now.subsec_nanos() / 1_000;
        let created = Timestamp::new(now.secs(), micros * 1_000).unwrap_or(now);
        // Ids of later resources come later in a list.
        let id = Uuid::new_v7(uuid::Timestamp::from_unix(NoContext, now.secs(), now.subsec_nanos())).to_string();
        let endpoint = Name::resource(&id).map_err(|error| Refusal::Failed { why: error.to_string() })?;
        let listed = Listed { id: id.clone(), name: name.clone(), created: Some(created) };
        let ring = Arc::clone(&self.ring);
        let told = move |created: Result<(), StoreError>| {
            done(match created {
                Ok(()) => Ok(listed),
                Err(StoreError::NoRoom) => Err(Refusal::Full { room: ring.room() }),
                Err(error) => Err(Refusal::Store(error)),
            });
        };
        self.store.create(Resource { id, name, created }, endpoint.endpoint().to_owned(), Box::new(told));
        Ok(())
    }

    /// Removes the resource `id` with all its hits, and tells `done`.
    ///
    /// # Errors
    /// [`Refusal::Lost`], and then `done` is not called.
    pub fn delete_resource(
        &self,
        id: &str,
        name: &Name,
        done: impl FnOnce(Result<(), Refusal>) + Send + 'static,
    ) -> Result<(), Refusal> {
        self.check()?;
        let told = |deleted: Result<bool, StoreError>| {
            done(match deleted {
                Ok(true) => Ok(()),
                Ok(false) => Err(Refusal::Unknown),
                Err(error) => Err(Refusal::Store(error)),
            });
        };
        self.store.delete(id.to_owned(), name.endpoint().to_owned(), Box::new(told));
        Ok(())
    }

    /// The resource `id`, whose hits are those of `name`.
    ///
    /// # Errors
    /// [`Refusal::Unknown`] if there is no such resource.
    pub fn resource(&self, id: &str, name: &Name) -> Result<Listed, Refusal> {
        self.check()?;
        if let Some(resource) = self.store.resource(id).map_err(Refusal::Store)? {
            return Ok(resource.into());
        }
        if self.ring.contains(name.endpoint()) { Ok(made_by_a_hit(id)) } else { Err(Refusal::Unknown) }
    }

    /// The first `most` resources whose ids come after `after`, in the order of their ids. It reads the names of all endpoints.
    ///
    /// # Errors
    /// [`Refusal::Lost`].
    pub fn resources(&self, after: &str, most: usize) -> Result<Vec<Listed>, Refusal> {
        self.check()?;
        // Before the database: a resource that is made meanwhile is in the answer once, with its name.
        let endpoints = self.ring.endpoints();
        let ids = endpoints.iter().filter_map(|endpoint| Name::resource_of(endpoint));
        let made = self.store.resources(after, most).map_err(Refusal::Store)?;
        let mut all: Vec<Listed> = made.into_iter().map(Listed::from).collect();
        let mut others = Vec::new();
        for id in ids.filter(|&id| id > after).take(most + all.len()) {
            if all.binary_search_by(|listed| listed.id.as_str().cmp(id)).is_err() {
                others.push(made_by_a_hit(id));
            }
        }
        all.append(&mut others);
        all.sort_by(|one, other| one.id.cmp(&other.id));
        all.truncate(most);
        Ok(all)
    }
}

/// The endpoint of the resource `id`.
///
/// # Errors
/// [`NameError`].
pub fn endpoint_of(id: &str) -> Result<String, NameError> {
    Name::resource(id).map(|name| name.endpoint().to_owned())
}

fn made_by_a_hit(id: &str) -> Listed {
    Listed { id: id.to_owned(), name: id.to_owned(), created: None }
}

impl From<Resource> for Listed {
    fn from(Resource { id, name, created }: Resource) -> Self {
        Self { id, name, created: Some(created) }
    }
}
