//! The columns of an entity's two tables: those that every build keeps, and the source's further ones.
//!
//! A further column has one number for as long as this value lives, so that rows read before a schema change stay right.
//! Names are one when they differ in case alone: most query engines can't tell such columns apart.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use hashbrown::HashMap;
use pulselake_model::{ColumnChange, Entity, schema};

use crate::attribute::{attribute_count, attributes};
use crate::error::CdcError;
use crate::names::{BOOKKEEPING, further_name, is_unnamable};
use crate::value::ColumnType;

/// How many spellings of names are kept with what they mean.
const MAX_SPELLINGS: usize = 4_096;

/// Where a table's column gets its values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Slot {
    /// A base column by its place.
    Attribute(usize),
    /// A column of the engine's own.
    Bookkeeping(&'static str),
    /// A further column by its number.
    Further(usize),
    /// A foreign column that can't be written.
    Null(DataType),
}

/// A further column of the source.
#[derive(Clone, Debug)]
struct Further {
    name: String,
    /// `None`: a table has it with a type that this engine can't write.
    column_type: Option<ColumnType>,
}

/// One of the two tables as it is.
#[derive(Clone, Debug, Default)]
struct TableColumns {
    columns: Vec<(String, Slot)>,
    /// Type in this table of each further column, by its number.
    further: Vec<Option<ColumnType>>,
}

/// What a field of the source's row is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// A base column, by its place in [`attributes`].
    Attribute(usize),
    /// A further column that is there.
    Further(usize),
    /// A further column that is not there yet.
    New,
    /// A name that no column can have.
    Unnamable,
}

/// What each of two tables lacks of the other's further columns.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Alignment {
    /// For the history.
    pub history: Vec<ColumnChange>,
    /// For the dimension.
    pub dimension: Vec<ColumnChange>,
}

/// See the module.
#[derive(Clone, Debug)]
pub struct Columns {
    entity: Entity,
    further: Vec<Further>,
    /// Number of a further column by its name in lower case.
    by_name: HashMap<String, usize>,
    spellings: HashMap<Box<str>, Target>,
    history: TableColumns,
    dimension: TableColumns,
}

impl Columns {
    /// The columns of the two tables as their schemas are now, in any order.
    ///
    /// A crash between the evolutions of two tables leaves one behind: that is no error, see
    /// [`changes_to_align`](Self::changes_to_align). A foreign column of a type that can't be written is written null.
    ///
    /// # Errors
    /// A column that every build keeps is absent or of another type, a foreign column is required, or a further column
    /// has types in the two tables of which none widens to the other.
    pub fn new(entity: Entity, history: &Schema, dimension: &Schema) -> Result<Self, CdcError> {
        let mut columns = Self {
            entity,
            further: Vec::new(),
            by_name: HashMap::new(),
            spellings: HashMap::new(),
            history: TableColumns::default(),
            dimension: TableColumns::default(),
        };
        columns.history = columns.table("history", history, &schema::dimension_history(entity))?;
        columns.dimension = columns.table("dimension", dimension, &schema::dimension(entity))?;
        Ok(columns)
    }

    /// Whose they are.
    pub fn entity(&self) -> Entity {
        self.entity
    }

    /// Steps that both tables need before rows with these columns can be written, by name; the tables are taken to be
    /// aligned, see [`changes_to_align`](Self::changes_to_align).
    pub fn changes(&self) -> Vec<ColumnChange> {
        let mut changes = self.changes_to(&self.history);
        for change in self.changes_to(&self.dimension) {
            match changes.iter_mut().find(|known| known.name() == change.name()) {
                Some(known) if matches!(change, ColumnChange::Add { .. }) => *known = change,
                Some(_) => {}
                None => changes.push(change),
            }
        }
        changes.sort_by(|one, other| one.name().cmp(other.name()));
        changes
    }

    /// What each table lacks, by name: right after [`new`](Self::new), what it lacks of the other's columns.
    pub fn changes_to_align(&self) -> Alignment {
        Alignment { history: self.changes_to(&self.history), dimension: self.changes_to(&self.dimension) }
    }

    /// The history's columns with every further one, as batches have them.
    pub fn history_schema(&self) -> SchemaRef {
        self.schema_of(&self.history, &schema::dimension_history(self.entity))
    }

    /// The dimension's columns with every further one, as batches have them.
    pub fn dimension_schema(&self) -> SchemaRef {
        self.schema_of(&self.dimension, &schema::dimension(self.entity))
    }

    /// Takes over how the tables are now. Further columns that they lack are still to be added.
    pub(crate) fn adopt(&mut self, fresh: Self) {
        let numbers: Vec<usize> = fresh.further.iter().map(|column| self.number_of(column)).collect();
        let further_count = self.further.len();
        let renumbered = |table: TableColumns| {
            let mut further = vec![None; further_count];
            for (number, column_type) in numbers.iter().zip(table.further) {
                further[*number] = column_type;
            }
            let columns = table.columns.into_iter().map(|(name, slot)| match slot {
                Slot::Further(number) => (name, Slot::Further(numbers[number])),
                other => (name, other),
            });
            TableColumns { columns: columns.collect(), further }
        };
        (self.history, self.dimension) = (renumbered(fresh.history), renumbered(fresh.dimension));
    }

    /// The number of a column of other [`Columns`], which may be new here or wider than here.
    fn number_of(&mut self, other: &Further) -> usize {
        let Some(&number) = self.by_name.get(&other.name.to_ascii_lowercase()) else {
            return self.push(other.name.clone(), other.column_type);
        };
        let known = &mut self.further[number].column_type;
        let is_narrower = match (*known, other.column_type) {
            (Some(known), Some(found)) => found.widens_to(known),
            _ => false,
        };
        if !is_narrower {
            *known = other.column_type;
        }
        number
    }

    /// Notes that the tables have what [`changes`](Self::changes) named.
    pub(crate) fn changes_made(&mut self) {
        for is_history in [true, false] {
            let mut made = self.missing(if is_history { &self.history } else { &self.dimension });
            made.sort_by(|one, other| self.further[*one].name.cmp(&self.further[*other].name));
            let table = if is_history { &mut self.history } else { &mut self.dimension };
            for number in made {
                table.columns.push((self.further[number].name.clone(), Slot::Further(number)));
            }
            table.further = self.further.iter().map(|column| column.column_type).collect();
        }
    }

    /// What a field of a row is.
    pub(crate) fn target(&mut self, source_name: &str) -> Target {
        if let Some(target) = self.spellings.get(source_name) {
            return *target;
        }
        let target = self.look_up(source_name);
        if target != Target::New {
            if self.spellings.len() >= MAX_SPELLINGS {
                self.spellings.clear();
            }
            self.spellings.insert(source_name.into(), target);
        }
        target
    }

    fn look_up(&self, source_name: &str) -> Target {
        let known = attributes(self.entity);
        if let Some(at) = known.iter().position(|known| known.source_name.eq_ignore_ascii_case(source_name)) {
            return Target::Attribute(at);
        }
        self.further_target(source_name)
    }

    /// What a field is that can't be a base column.
    pub(crate) fn further_target(&self, source_name: &str) -> Target {
        let name = further_name(source_name);
        if is_unnamable(&name) {
            return Target::Unnamable;
        }
        let name = name.to_ascii_lowercase();
        self.by_name.get(&name).map_or(Target::New, |number| Target::Further(*number))
    }

    /// Name and type of a further column; no type where this engine can't write it.
    pub(crate) fn further(&self, number: usize) -> (&str, Option<ColumnType>) {
        let column = &self.further[number];
        (&column.name, column.column_type)
    }

    /// How many further columns there are: the number of the next one.
    pub(crate) fn further_count(&self) -> usize {
        self.further.len()
    }

    /// How many columns the history has with every further one.
    pub(crate) fn history_count(&self) -> usize {
        self.history.columns.len() + self.missing(&self.history).len()
    }

    /// Takes in a new further column.
    pub(crate) fn push(&mut self, name: String, column_type: Option<ColumnType>) -> usize {
        let number = self.further.len();
        self.by_name.insert(name.to_ascii_lowercase(), number);
        self.further.push(Further { name, column_type });
        number
    }

    /// Gives a further column a wider type.
    pub(crate) fn widen(&mut self, number: usize, column_type: ColumnType) {
        self.further[number].column_type = Some(column_type);
    }

    /// The history's columns with every further one.
    pub(crate) fn history_slots(&self) -> Vec<Slot> {
        self.slots(&self.history)
    }

    /// The dimension's columns with every further one.
    pub(crate) fn dimension_slots(&self) -> Vec<Slot> {
        self.slots(&self.dimension)
    }

    /// Reads one table's schema; further columns are shared between the two.
    fn table(
        &mut self,
        table: &'static str,
        found: &Schema,
        base: &Schema,
    ) -> Result<TableColumns, CdcError> {
        let entity = self.entity;
        for field in base.fields() {
            if found.column_with_name(field.name()).is_none() {
                return Err(CdcError::MissingColumn { entity, table, column: field.name().clone() });
            }
        }
        let mut columns = TableColumns::default();
        for field in found.fields() {
            let slot = match base.column_with_name(field.name()) {
                Some((at, expected)) => base_slot(entity, table, field, expected, at)?,
                None if !field.is_nullable() => {
                    return Err(CdcError::RequiredColumn { entity, table, column: field.name().clone() });
                }
                None => self.further_slot(table, field, &mut columns)?,
            };
            columns.columns.push((field.name().clone(), slot));
        }
        Ok(columns)
    }

    fn further_slot(
        &mut self,
        table: &'static str,
        field: &Field,
        columns: &mut TableColumns,
    ) -> Result<Slot, CdcError> {
        let (name, found) = (field.name(), ColumnType::of(field.data_type()));
        if self.is_out_of_reach(name) {
            return Ok(Slot::Null(field.data_type().clone()));
        }
        let number = match self.by_name.get(&name.to_ascii_lowercase()) {
            Some(known) => *known,
            None => self.push(name.clone(), found),
        };
        let widest = match (self.further[number].column_type, found) {
            (Some(one), Some(other)) if one == other || other.widens_to(one) => Some(one),
            (Some(one), Some(other)) if one.widens_to(other) => Some(other),
            (None, None) => None,
            (expected, _) => {
                return Err(CdcError::ColumnType {
                    entity: self.entity,
                    table,
                    column: name.clone(),
                    found: field.data_type().to_string(),
                    expected: expected.map_or_else(|| "one that can be written".to_owned(), ColumnType::name),
                });
            }
        };
        self.further[number].column_type = widest;
        columns.further.resize(self.further.len().max(columns.further.len()), None);
        columns.further[number] = found;
        Ok(if found.is_some() { Slot::Further(number) } else { Slot::Null(field.data_type().clone()) })
    }

    /// Whether nothing that a record brings goes by such a name.
    fn is_out_of_reach(&self, name: &str) -> bool {
        let base = &attributes(self.entity)[..attribute_count(self.entity)];
        let mut taken = base.iter().map(|attribute| attribute.source_name).chain(BOOKKEEPING);
        is_unnamable(name) || taken.any(|taken| taken.eq_ignore_ascii_case(name))
    }

    /// Numbers of the further columns that a table lacks.
    fn missing(&self, table: &TableColumns) -> Vec<usize> {
        let has = |number: &usize| table.further.get(*number).is_some_and(Option::is_some);
        let writable = |number: &usize| self.further[*number].column_type.is_some();
        (0..self.further.len()).filter(|number| writable(number) && !has(number)).collect()
    }

    fn changes_to(&self, table: &TableColumns) -> Vec<ColumnChange> {
        let changes = self.further.iter().enumerate().filter_map(|(number, column)| {
            let (wanted, name) = (column.column_type?, column.name.clone());
            match table.further.get(number).copied().flatten() {
                None => Some(ColumnChange::Add { name, data_type: wanted.data_type() }),
                Some(has) if has.widens_to(wanted) => {
                    Some(ColumnChange::Promote { name, data_type: wanted.data_type() })
                }
                Some(_) => None,
            }
        });
        let mut changes: Vec<ColumnChange> = changes.collect();
        changes.sort_by(|one, other| one.name().cmp(other.name()));
        changes
    }

    fn slots(&self, table: &TableColumns) -> Vec<Slot> {
        let mut missing = self.missing(table);
        missing.sort_by(|one, other| self.further[*one].name.cmp(&self.further[*other].name));
        let slots = table.columns.iter().map(|(_, slot)| slot.clone());
        slots.chain(missing.into_iter().map(Slot::Further)).collect()
    }

    fn schema_of(&self, table: &TableColumns, base: &Schema) -> SchemaRef {
        let names =
            table.columns.iter().map(|(name, _)| name.as_str()).map(Some).chain(std::iter::repeat(None));
        let fields = self.slots(table).into_iter().zip(names).map(|(slot, name)| match slot {
            Slot::Further(number) => {
                let (own_name, column_type) = self.further(number);
                let data_type = column_type.map_or(DataType::Null, ColumnType::data_type);
                Field::new(name.unwrap_or(own_name), data_type, true)
            }
            Slot::Null(data_type) => Field::new(name.unwrap_or_default(), data_type, true),
            Slot::Attribute(at) => base.field(at).clone(),
            Slot::Bookkeeping(own_name) => base
                .column_with_name(own_name)
                .map_or_else(|| Field::new(own_name, DataType::Null, true), |(_, field)| field.clone()),
        });
        Arc::new(Schema::new(fields.collect::<Vec<_>>()))
    }
}

fn base_slot(
    entity: Entity,
    table: &'static str,
    found: &Field,
    expected: &Field,
    at: usize,
) -> Result<Slot, CdcError> {
    if ColumnType::of(found.data_type()) != ColumnType::of(expected.data_type()) {
        return Err(CdcError::ColumnType {
            entity,
            table,
            column: found.name().clone(),
            found: found.data_type().to_string(),
            expected: expected.data_type().to_string(),
        });
    }
    if at < attribute_count(entity) {
        return Ok(Slot::Attribute(at));
    }
    // The model's columns behind the base ones are all bookkeeping: a test holds it.
    let own = BOOKKEEPING.into_iter().find(|name| name == found.name());
    Ok(own.map_or_else(|| Slot::Null(found.data_type().clone()), Slot::Bookkeeping))
}
