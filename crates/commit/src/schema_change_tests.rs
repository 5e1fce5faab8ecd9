use iceberg::spec::{ListType, NestedField, PrimitiveType, Schema, Type};

use super::*;

fn primitive(kind: PrimitiveType) -> Type {
    Type::Primitive(kind)
}

fn decimal(precision: u32, scale: u32) -> PrimitiveType {
    PrimitiveType::Decimal { precision, scale }
}

fn strings(id: i32) -> Type {
    Type::List(ListType::new(NestedField::list_element(id, primitive(PrimitiveType::String), false).into()))
}

/// `key`, `size` int, `ratio` float, `price` decimal(9,2), `tags` list<string>; the last id is 9.
fn current() -> Schema {
    Schema::builder()
        .with_schema_id(3)
        .with_fields([
            NestedField::required(1, "key", primitive(PrimitiveType::String)).into(),
            NestedField::optional(2, "size", primitive(PrimitiveType::Int)).into(),
            NestedField::optional(3, "ratio", primitive(PrimitiveType::Float)).into(),
            NestedField::optional(4, "price", primitive(decimal(9, 2))).into(),
            NestedField::optional(5, "tags", strings(6)).into(),
        ])
        .with_identifier_field_ids([1])
        .build()
        .unwrap()
}

fn add(name: &str, field_type: Type) -> SchemaChange {
    SchemaChange::AddColumn { name: name.to_string(), field_type }
}

fn promote(name: &str, to: PrimitiveType) -> SchemaChange {
    SchemaChange::PromoteColumn { name: name.to_string(), to }
}

fn after(changes: &[SchemaChange]) -> Result<Option<Schema>, Conflict> {
    let schema = current();
    let fields = with_changes(&schema, 9, vec!["key_bucket".to_string()], changes)?;
    Ok(fields.map(|fields| rebuilt(&schema, fields).unwrap()))
}

fn column(schema: &Schema, name: &str) -> (i32, String, bool) {
    let field = schema.field_by_name(name).unwrap();
    (field.id, field.field_type.to_string(), field.required)
}

#[test]
fn new_columns_are_optional_and_get_ids_that_were_never_used() {
    let changes = [
        add("title", primitive(PrimitiveType::String)),
        add("labels", strings(1)),
        add("age", primitive(PrimitiveType::Int)),
    ];
    let schema = after(&changes).unwrap().unwrap();
    assert_eq!(column(&schema, "title"), (10, "string".to_string(), false));
    assert_eq!((column(&schema, "labels").0, column(&schema, "labels.element").0), (11, 12));
    assert_eq!(column(&schema, "age"), (13, "int".to_string(), false));
    let names: Vec<&str> = schema.as_struct().fields().iter().map(|field| field.name.as_str()).collect();
    assert_eq!(names, ["key", "size", "ratio", "price", "tags", "title", "labels", "age"]);
    assert_eq!(schema.identifier_field_ids().collect::<Vec<_>>(), [1]);
    assert_eq!(column(&schema, "key"), (1, "string".to_string(), true));
}

#[test]
fn types_are_widened_in_place() {
    let changes = [
        promote("size", PrimitiveType::Long),
        promote("ratio", PrimitiveType::Double),
        promote("price", decimal(18, 2)),
    ];
    let schema = after(&changes).unwrap().unwrap();
    assert_eq!(column(&schema, "size"), (2, "long".to_string(), false));
    assert_eq!(column(&schema, "ratio"), (3, "double".to_string(), false));
    assert_eq!(column(&schema, "price"), (4, "decimal(18, 2)".to_string(), false));
}

#[test]
fn what_is_there_as_wide_already_needs_nothing() {
    for change in [
        add("size", primitive(PrimitiveType::Int)),
        promote("size", PrimitiveType::Int),
        add("price", primitive(decimal(7, 2))),
        promote("price", decimal(9, 2)),
        add("tags", strings(77)),
        add("key", primitive(PrimitiveType::String)),
    ] {
        assert_eq!(after(std::slice::from_ref(&change)).unwrap(), None, "{change:?}");
    }
    assert_eq!(after(&[]).unwrap(), None);
    let wide = after(&[promote("size", PrimitiveType::Long)]).unwrap().unwrap();
    for change in [add("size", primitive(PrimitiveType::Int)), promote("size", PrimitiveType::Int)] {
        assert_eq!(with_changes(&wide, 9, Vec::new(), &[change]).unwrap(), None);
    }
}

#[test]
fn adding_a_column_that_is_there_narrower_widens_it() {
    let schema = after(&[add("size", primitive(PrimitiveType::Long))]).unwrap().unwrap();
    assert_eq!(column(&schema, "size"), (2, "long".to_string(), false));
    let twice = [add("new", primitive(PrimitiveType::Int)), add("new", primitive(PrimitiveType::Long))];
    assert_eq!(column(&after(&twice).unwrap().unwrap(), "new"), (10, "long".to_string(), false));
}

#[test]
fn what_contradicts_the_table_is_named() {
    let refused = |change: SchemaChange| after(&[change]).unwrap_err();
    assert_eq!(
        refused(add("size", primitive(PrimitiveType::String))),
        Conflict::ColumnType { column: "size".into(), found: "int".into(), wanted: "string".into() }
    );
    for (name, to) in [
        ("size", PrimitiveType::Double),
        ("ratio", PrimitiveType::Long),
        ("price", decimal(18, 3)),
        ("tags", PrimitiveType::String),
        ("key", PrimitiveType::Binary),
    ] {
        assert!(matches!(refused(promote(name, to)), Conflict::ColumnType { column, .. } if column == name));
    }
    assert_eq!(
        refused(promote("nope", PrimitiveType::Long)),
        Conflict::ColumnMissing { column: "nope".into() }
    );
    for (name, existing) in [
        ("Size", "size"),
        ("TAGS.element", "tags.element"),
        ("tags.element", "tags.element"),
        ("key_bucket", "key_bucket"),
    ] {
        assert_eq!(
            refused(add(name, primitive(PrimitiveType::Int))),
            Conflict::ColumnNameTaken { column: name.into(), existing: existing.into() }
        );
    }
    let twice = [add("new", primitive(PrimitiveType::Int)), add("NEW", primitive(PrimitiveType::Int))];
    assert!(matches!(after(&twice), Err(Conflict::ColumnNameTaken { .. })));
}

#[test]
fn lists_differ_by_what_is_in_them() {
    let longs =
        Type::List(ListType::new(NestedField::list_element(1, primitive(PrimitiveType::Long), false).into()));
    assert!(matches!(after(&[add("tags", longs)]), Err(Conflict::ColumnType { .. })));
    let never_null = Type::List(ListType::new(
        NestedField::list_element(1, primitive(PrimitiveType::String), true).into(),
    ));
    assert_eq!(after(&[add("tags", never_null)]).unwrap(), None);
}
