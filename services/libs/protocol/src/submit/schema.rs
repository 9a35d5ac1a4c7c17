//! What a schema cannot be derived for.

use utoipa::openapi::schema::{KnownFormat, Object, ObjectBuilder, OneOfBuilder, SchemaFormat, Type};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use super::{Dependency, Workspace};

fn id() -> Object {
    ObjectBuilder::new()
        .schema_type(Type::String)
        .format(Some(SchemaFormat::KnownFormat(KnownFormat::Uuid)))
        .build()
}

fn text() -> Object {
    ObjectBuilder::new().schema_type(Type::String).build()
}

/// An object with one field, which it must have.
fn only(field: &str, value: Object) -> Object {
    ObjectBuilder::new().schema_type(Type::Object).property(field, value).required(field).build()
}

impl PartialSchema for Dependency {
    fn schema() -> RefOr<Schema> {
        let about = "A task that must end first: its id, or its `ref` in the same submit.";
        OneOfBuilder::new().item(id()).item(only("ref", text())).description(Some(about)).into()
    }
}

impl ToSchema for Dependency {}

impl PartialSchema for Workspace {
    fn schema() -> RefOr<Schema> {
        let about = "What the work folder starts from: a git repository, a copy of a folder, or the work of a \
                     terminal task.";
        let git = ObjectBuilder::new().schema_type(Type::Object).build();
        OneOfBuilder::new()
            .item(only("git", git))
            .item(only("copy", text()))
            .item(only("continue", id()))
            .description(Some(about))
            .into()
    }
}

impl ToSchema for Workspace {}
