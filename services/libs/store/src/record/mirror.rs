//! The seam between a core type and its record, and macros that write both directions.
//!
//! Both directions name every field, so a field that the core gains does not compile here until somebody decides how it
//! is kept.

use serde::{Deserialize, Serialize};

use super::context::{Context, Invalid};

/// A core type that has a record. Records borrow: writing copies nothing, reading copies once.
pub(super) trait Mirror<'a>: Sized {
    /// What is written.
    type Record: Serialize + Deserialize<'a>;

    /// The record of a value.
    fn to_record(&'a self) -> Self::Record;

    /// The value of a record, checked.
    fn from_record(record: Self::Record, context: &mut Context) -> Result<Self, Invalid>;
}

macro_rules! mirror_number {
    ($($number:ty),*) => {$(
        impl<'a> Mirror<'a> for $number {
            type Record = $number;

            fn to_record(&'a self) -> Self::Record {
                *self
            }

            fn from_record(record: Self::Record, _: &mut Context) -> Result<Self, Invalid> {
                Ok(record)
            }
        }
    )*};
}

mirror_number!(bool, u8, u16, u32, u64, i32, i64);

impl<'a> Mirror<'a> for Box<str> {
    type Record = &'a str;

    fn to_record(&'a self) -> Self::Record {
        self
    }

    fn from_record(record: Self::Record, _: &mut Context) -> Result<Self, Invalid> {
        Ok(record.into())
    }
}

impl<'a, T: Mirror<'a>> Mirror<'a> for Option<T> {
    type Record = Option<T::Record>;

    fn to_record(&'a self) -> Self::Record {
        self.as_ref().map(T::to_record)
    }

    fn from_record(record: Self::Record, context: &mut Context) -> Result<Self, Invalid> {
        record.map(|record| T::from_record(record, context)).transpose()
    }
}

impl<'a, T: Mirror<'a>> Mirror<'a> for Box<T> {
    type Record = T::Record;

    fn to_record(&'a self) -> Self::Record {
        (**self).to_record()
    }

    fn from_record(record: Self::Record, context: &mut Context) -> Result<Self, Invalid> {
        T::from_record(record, context).map(Self::new)
    }
}

impl<'a, T: Mirror<'a>> Mirror<'a> for Box<[T]> {
    type Record = Vec<T::Record>;

    fn to_record(&'a self) -> Self::Record {
        self.iter().map(T::to_record).collect()
    }

    fn from_record(record: Self::Record, context: &mut Context) -> Result<Self, Invalid> {
        record.into_iter().map(|record| T::from_record(record, context)).collect()
    }
}

impl<'a, T: Mirror<'a>> Mirror<'a> for Vec<T> {
    type Record = Vec<T::Record>;

    fn to_record(&'a self) -> Self::Record {
        self.iter().map(T::to_record).collect()
    }

    fn from_record(record: Self::Record, context: &mut Context) -> Result<Self, Invalid> {
        record.into_iter().map(|record| T::from_record(record, context)).collect()
    }
}

impl<'a, A: Mirror<'a>, B: Mirror<'a>> Mirror<'a> for (A, B) {
    type Record = (A::Record, B::Record);

    fn to_record(&'a self) -> Self::Record {
        (self.0.to_record(), self.1.to_record())
    }

    fn from_record((a, b): Self::Record, context: &mut Context) -> Result<Self, Invalid> {
        Ok((A::from_record(a, context)?, B::from_record(b, context)?))
    }
}

impl<'a, A: Mirror<'a>, B: Mirror<'a>, C: Mirror<'a>> Mirror<'a> for (A, B, C) {
    type Record = (A::Record, B::Record, C::Record);

    fn to_record(&'a self) -> Self::Record {
        (self.0.to_record(), self.1.to_record(), self.2.to_record())
    }

    fn from_record((a, b, c): Self::Record, context: &mut Context) -> Result<Self, Invalid> {
        Ok((A::from_record(a, context)?, B::from_record(b, context)?, C::from_record(c, context)?))
    }
}

/// Writes the record of a struct: `mirror_struct!(Core => CoreV1 { field: Type, .. })`.
macro_rules! mirror_struct {
    ($core:ident => $record:ident { $($field:ident: $type:ty),* $(,)? }) => {
        #[derive(serde::Serialize, serde::Deserialize)]
        pub(super) struct $record<'a> {
            $(#[serde(borrow)] $field: <$type as Mirror<'a>>::Record,)*
        }

        impl<'a> Mirror<'a> for $core {
            type Record = $record<'a>;

            fn to_record(&'a self) -> Self::Record {
                let Self { $($field),* } = self;
                $record { $($field: <$type as Mirror<'a>>::to_record($field)),* }
            }

            fn from_record(record: Self::Record, context: &mut Context) -> Result<Self, Invalid> {
                Ok(Self { $($field: <$type as Mirror<'a>>::from_record(record.$field, context)?),* })
            }
        }
    };
}

/// Writes the record of an enum whose variants carry data; the value of a tuple variant gets a name:
/// `mirror_enum!(Core => CoreV1 { Unit, Tuple(value: Type), Struct { field: Type, .. } })`.
macro_rules! mirror_enum {
    ($(#[$attribute:meta])* $core:ident => $record:ident {
        $($variant:ident $(($value:ident: $value_type:ty))? $({ $($field:ident: $type:ty),* $(,)? })?),* $(,)?
    }) => {
        $(#[$attribute])*
        #[derive(serde::Serialize, serde::Deserialize)]
        pub(super) enum $record<'a> {
            $($variant
                $((#[serde(borrow)] <$value_type as Mirror<'a>>::Record))?
                $({ $(#[serde(borrow)] $field: <$type as Mirror<'a>>::Record),* })?
            ),*
        }

        impl<'a> Mirror<'a> for $core {
            type Record = $record<'a>;

            fn to_record(&'a self) -> Self::Record {
                match self {
                    $(Self::$variant $(($value))? $({ $($field),* })? => $record::$variant
                        $((<$value_type as Mirror<'a>>::to_record($value)))?
                        $({ $($field: <$type as Mirror<'a>>::to_record($field)),* })?
                    ),*
                }
            }

            fn from_record(record: Self::Record, context: &mut Context) -> Result<Self, Invalid> {
                Ok(match record {
                    $($record::$variant $(($value))? $({ $($field),* })? => Self::$variant
                        $((<$value_type as Mirror<'a>>::from_record($value, context)?))?
                        $({ $($field: <$type as Mirror<'a>>::from_record($field, context)?),* })?
                    ),*
                })
            }
        }
    };
}

/// Writes the record of an enum without data: `mirror_names!(Core => CoreV1 { One, Two })`.
macro_rules! mirror_names {
    ($core:ident => $record:ident { $($variant:ident),* $(,)? }) => {
        #[derive(serde::Serialize, serde::Deserialize)]
        pub(super) enum $record {
            $($variant),*
        }

        impl<'a> Mirror<'a> for $core {
            type Record = $record;

            fn to_record(&'a self) -> Self::Record {
                match self {
                    $(Self::$variant => $record::$variant),*
                }
            }

            fn from_record(record: Self::Record, _: &mut Context) -> Result<Self, Invalid> {
                Ok(match record {
                    $($record::$variant => Self::$variant),*
                })
            }
        }
    };
}

pub(super) use {mirror_enum, mirror_names, mirror_struct};
