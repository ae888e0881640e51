//! A text and its formatted places, in UTF-16 units (<https://core.telegram.org/bots/api#messageentity>).

use serde::{Deserialize, Serialize};

use super::utf16_units;
use crate::reply::MethodError;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entity {
    #[serde(rename = "type")]
    pub kind: String,
    pub offset: usize,
    pub length: usize,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub language: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub custom_emoji_id: Option<String>,
}

impl Entity {
    pub fn new(kind: &str, offset: usize, length: usize) -> Self {
        Self { kind: kind.to_owned(), offset, length, url: None, language: None, custom_emoji_id: None }
    }

    fn end(&self) -> usize {
        self.offset + self.length
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FormattedText {
    pub text: String,
    pub entities: Vec<Entity>,
}

impl FormattedText {
    pub fn units(&self) -> usize {
        utf16_units(&self.text)
    }

    /// Space at either end is no part of a message.
    pub(super) fn trim(&mut self) {
        let without_end = self.text.trim_end().len();
        self.text.truncate(without_end);
        let lead = self.text.len() - self.text.trim_start().len();
        let lead_units = utf16_units(&self.text[..lead]);
        self.text.drain(..lead);
        let units = self.units();
        for entity in &mut self.entities {
            let end = entity.end().saturating_sub(lead_units).min(units);
            entity.offset = entity.offset.saturating_sub(lead_units);
            entity.length = end.saturating_sub(entity.offset);
        }
        self.entities.retain(|entity| entity.length > 0);
    }

    /// Given entities lie in the text, on whole characters.
    pub(super) fn check(&self) -> Result<(), MethodError> {
        let mut boundaries = vec![0];
        let mut units = 0;
        for character in self.text.chars() {
            units += character.len_utf16();
            boundaries.push(units);
        }
        for entity in &self.entities {
            if boundaries.binary_search(&entity.offset).is_err() || boundaries.binary_search(&entity.end()).is_err() {
                let wrong = format!("entity beginning at UTF-16 offset {} ends outside a whole character", entity.offset);
                return Err(MethodError::bad_request(wrong));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn space_at_the_ends_goes_and_places_move_along() {
        let mut text = FormattedText {
            text: " \n😀 down  ".to_owned(),
            entities: vec![Entity::new("bold", 2, 2), Entity::new("italic", 5, 6), Entity::new("code", 0, 2)],
        };
        text.trim();
        assert_eq!(text.text, "😀 down");
        assert_eq!(text.entities, [Entity::new("bold", 0, 2), Entity::new("italic", 3, 4)]);
        text.check().unwrap();
    }

    #[test]
    fn half_a_character_is_no_place() {
        let text = FormattedText { text: "😀".to_owned(), entities: vec![Entity::new("bold", 0, 1)] };
        assert!(text.check().is_err());
    }
}
