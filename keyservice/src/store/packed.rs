//! Many rows of SQLite as one.
//!
//! Each row that SQLite gives is handed from one thread to another, and each of its columns is copied on the way. For pages of a
//! thousand rows that costs as much as finding the rows, so SQLite writes them all into one JSON text.

use std::{fmt, sync::Arc};

use serde::{
    Deserialize, Deserializer,
    de::{Error, Visitor},
};

use super::{
    StoreError, row,
    sql::{Connection, Row, Statement},
};

/// The columns that hold bytes, wherever they are read.
const BYTES: [&str; 2] = ["digest", "material"];

/// A row that came with many others.
pub(super) struct PackedRow {
    names: Arc<[&'static str]>,
    fields: Vec<Field>,
}

/// What a column holds.
enum Field {
    Null,
    Integer(i64),
    Text(String),
    Bytes(Vec<u8>),
}

/// All rows of a statement, in its order; `names` are those of its columns.
pub(super) async fn fetch_all(
    statement: Statement,
    on: &mut Connection,
    names: Arc<[&'static str]>,
) -> Result<Vec<Row>, StoreError> {
    if let Connection::Postgres(_) = on {
        return statement.fetch_all(on).await;
    }
    let columns: Vec<_> = names.iter().map(|name| packing(name)).collect();
    let array = format!("SELECT json_group_array(json_array({})) AS packed FROM (", columns.join(", "));
    let packed = statement.behind(&array).then(")").fetch_one(on).await?;
    let rows: Vec<Vec<Field>> = row::parsed(&packed, "packed", |text| serde_json::from_str(text))?;
    rows.into_iter().map(|fields| PackedRow::new(&names, fields).map(Row::Packed)).collect()
}

/// JSON has no bytes.
fn packing(name: &str) -> String {
    if BYTES.contains(&name) { format!("hex({name})") } else { name.to_owned() }
}

impl PackedRow {
    fn new(names: &Arc<[&'static str]>, mut fields: Vec<Field>) -> Result<Self, StoreError> {
        for (name, field) in names.iter().zip(&mut fields) {
            if let Field::Text(hex) = field
                && BYTES.contains(name)
            {
                *field = Field::Bytes(from_hex(hex).ok_or_else(|| row::corrupt(name, "not hexadecimal"))?);
            }
        }
        Ok(Self { names: names.clone(), fields })
    }

    fn field(&self, column: &'static str) -> Result<&Field, StoreError> {
        let place = self.names.iter().position(|name| *name == column);
        place.and_then(|place| self.fields.get(place)).ok_or_else(|| row::corrupt(column, "there is no such column"))
    }

    pub(super) fn integer(&self, column: &'static str) -> Result<i64, StoreError> {
        self.maybe_integer(column)?.ok_or_else(|| row::corrupt(column, "there is no number"))
    }

    pub(super) fn maybe_integer(&self, column: &'static str) -> Result<Option<i64>, StoreError> {
        match self.field(column)? {
            Field::Null => Ok(None),
            Field::Integer(number) => Ok(Some(*number)),
            Field::Text(_) | Field::Bytes(_) => Err(row::corrupt(column, "not a number")),
        }
    }

    pub(super) fn text(&self, column: &'static str) -> Result<&str, StoreError> {
        self.maybe_text(column)?.ok_or_else(|| row::corrupt(column, "there is no text"))
    }

    pub(super) fn maybe_text(&self, column: &'static str) -> Result<Option<&str>, StoreError> {
        match self.field(column)? {
            Field::Null => Ok(None),
            Field::Text(text) => Ok(Some(text)),
            Field::Integer(_) | Field::Bytes(_) => Err(row::corrupt(column, "not a text")),
        }
    }

    pub(super) fn bytes(&self, column: &'static str) -> Result<&[u8], StoreError> {
        match self.field(column)? {
            Field::Bytes(bytes) => Ok(bytes),
            Field::Null | Field::Integer(_) | Field::Text(_) => Err(row::corrupt(column, "not bytes")),
        }
    }
}

impl<'de> Deserialize<'de> for Field {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(FieldVisitor)
    }
}

struct FieldVisitor;

impl Visitor<'_> for FieldVisitor {
    type Value = Field;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("null, a whole number or a text")
    }

    fn visit_unit<E>(self) -> Result<Field, E> {
        Ok(Field::Null)
    }

    fn visit_i64<E>(self, number: i64) -> Result<Field, E> {
        Ok(Field::Integer(number))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Field, E> {
        i64::try_from(number).map(Field::Integer).map_err(E::custom)
    }

    fn visit_str<E>(self, text: &str) -> Result<Field, E> {
        Ok(Field::Text(text.to_owned()))
    }
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let byte = |[high, low]: &[u8; 2]| u8::try_from(digit(*high)? << 4 | digit(*low)?).ok();
    if rest.is_empty() { pairs.iter().map(byte).collect() } else { None }
}
