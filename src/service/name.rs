//! [`Name`]: which endpoint of the ring a resource, a page or a counter is.
//!
//! | | endpoint | parts |
//! |---|---|---|
//! | a resource | `hits/ID` | `ID`: 1 to 1,000 bytes |
//! | a page | `visits/PAGE` | `PAGE`: 1 to 1,000 bytes |
//! | a counter | `counter/TYPE/ID` | `TYPE`: 1 to 64 of `A-Z a-z 0-9 _ . -`; `ID`: 1 to 900 bytes |
//! | any of them, and those of other processes | itself | 1 to 1,024 bytes |
//!
//! A type has no slash, so the second slash ends it, and an id may have any characters. Two different requests never mean the
//! same endpoint, and every name fits into the 1,024 bytes of an endpoint.
//!
//! Tests: below.

use std::fmt;

/// The most bytes of a resource's or a page's name.
pub const MOST: usize = 1_000;
/// The most bytes of an endpoint.
pub const MOST_OF_ENDPOINT: usize = 1_024;
/// The most bytes of a counter's id.
pub const MOST_OF_COUNTER: usize = 900;
/// The most characters of a counter's type.
pub const MOST_OF_TYPE: usize = 64;

/// The endpoint of a resource, a page or a counter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Name(String);

/// Why a text is not a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NameError {
    /// It is empty, or has too many bytes.
    Length {
        /// What it would name.
        of: &'static str,
        /// Its bytes.
        given: usize,
        /// How many it may have.
        most: usize,
    },
    /// A type has another character than `A-Z a-z 0-9 _ . -`.
    Type {
        /// The type.
        given: String,
    },
}

impl Name {
    /// A resource's.
    ///
    /// # Errors
    /// [`NameError::Length`].
    pub fn resource(id: &str) -> Result<Self, NameError> {
        check("a resource_id", id, MOST).map(|()| Self(["hits/", id].concat()))
    }

    /// The id of the resource whose hits are those of `endpoint`.
    #[must_use]
    pub fn resource_of(endpoint: &str) -> Option<&str> {
        endpoint.strip_prefix("hits/")
    }

    /// A page's.
    ///
    /// # Errors
    /// [`NameError::Length`].
    pub fn page(page: &str) -> Result<Self, NameError> {
        check("the name of a page", page, MOST).map(|()| Self(["visits/", page].concat()))
    }

    /// A counter's.
    ///
    /// # Errors
    /// [`NameError`].
    pub fn counter(kind: &str, id: &str) -> Result<Self, NameError> {
        check("the type of a counter", kind, MOST_OF_TYPE)?;
        if !kind.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte)) {
            return Err(NameError::Type { given: kind.to_owned() });
        }
        check("the id of a counter", id, MOST_OF_COUNTER).map(|()| Self(format!("counter/{kind}/{id}")))
    }

    /// An endpoint of the ring, whatever it is.
    ///
    /// # Errors
    /// [`NameError::Length`].
    pub fn whole(endpoint: &str) -> Result<Self, NameError> {
        check("an endpoint", endpoint, MOST_OF_ENDPOINT).map(|()| Self(endpoint.to_owned()))
    }

    /// The endpoint.
    #[must_use]
    pub fn endpoint(&self) -> &str {
        &self.0
    }
}

fn check(of: &'static str, text: &str, most: usize) -> Result<(), NameError> {
    let given = text.len();
    if (1..=most).contains(&given) { Ok(()) } else { Err(NameError::Length { of, given, most }) }
}

impl fmt::Display for NameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Length { of, given: 0, most } => write!(f, "{of} is empty; give 1 to {most} bytes of UTF-8"),
            Self::Length { of, given, most } => {
                write!(f, "{of} has 1 to {most} bytes of UTF-8, not {given}; shorten or hash it")
            }
            Self::Type { given } => {
                write!(f, "the type of a counter has letters, digits, '_', '.' and '-', unlike {given:?}; rename it")
            }
        }
    }
}

impl std::error::Error for NameError {}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn lengths_are_bytes() {
        let long = |length: usize| "x".repeat(length);
        assert!(Name::resource(&long(1_000)).is_ok() && Name::page(&long(1_000)).is_ok());
        assert_eq!(
            Name::resource(&long(1_001)),
            Err(NameError::Length { of: "a resource_id", given: 1_001, most: 1_000 })
        );
        assert!(Name::resource(&"\u{fc}".repeat(501)).is_err() && Name::page("").is_err());
        let counter = Name::counter(&long(64), &long(900)).expect("the longest");
        assert!(counter.endpoint().len() <= 1_024);
        assert!(Name::counter(&long(65), "x").is_err() && Name::counter("x", &long(901)).is_err());
    }

    proptest! {
        #[test]
        fn a_string_is_a_name_or_an_error_and_no_two_are_one(
            first in "\\PC{0,8}|[a-z/%.]{0,8}", second in "\\PC{0,8}|[a-z/%.]{0,8}", kind in "[a-z/._-]{0,4}",
        ) {
            let all = |text: &str| [Name::resource(text), Name::page(text), Name::counter(&kind, text)];
            for name in all(&first).into_iter().chain(all(&second)) {
                prop_assert!(name.is_err() || (1..=1_024).contains(&name.expect("checked").endpoint().len()));
            }
            prop_assert_eq!(Name::resource(&first).is_ok(), !first.is_empty());
            let kind_is_fine = !kind.is_empty() && !kind.contains('/');
            prop_assert_eq!(Name::counter(&kind, &first).is_ok(), !first.is_empty() && kind_is_fine);
            let mut names: Vec<Name> = all(&first).into_iter().flatten().collect();
            if first != second {
                names.extend(all(&second).into_iter().flatten());
            }
            let many = names.len();
            names.sort_unstable_by(|a, b| a.0.cmp(&b.0));
            names.dedup();
            prop_assert_eq!(names.len(), many);
        }
    }
}
