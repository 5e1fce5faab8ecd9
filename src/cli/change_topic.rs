//! A topic of changes as a flag names it, and which entity it is of.

use pulselake_model::Entity;

/// One item of `--cdc-topics`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ChangeTopic {
    /// What changes.
    pub(crate) entity: Entity,
    /// The topic.
    pub(crate) name: String,
}

impl ChangeTopic {
    /// Reads `videos=TOPIC` or `users=TOPIC`, or a bare topic: one of the default names, or one whose last part is the
    /// name of the source's table (videos; users or profiles).
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        if let Some((entity, name)) = text.split_once('=') {
            let known = Entity::ALL.into_iter().find(|known| known.as_str() == entity.trim());
            let entity =
                known.ok_or_else(|| format!("{entity:?} is not an entity: allowed are videos and users"))?;
            return Ok(Self { entity, name: name.trim().to_owned() });
        }
        let name = text.trim();
        let entity = match name.rsplit('.').next() {
            Some("videos") => Entity::Videos,
            Some("users" | "profiles") => Entity::Users,
            _ => {
                return Err(format!(
                    "{name:?} does not say what changes: write videos={name} or users={name}"
                ));
            }
        };
        Ok(Self { entity, name: name.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Option<(Entity, String)> {
        ChangeTopic::parse(text).ok().map(|topic| (topic.entity, topic.name))
    }

    #[test]
    fn default_names_and_those_of_the_tables_say_what_they_are_of() {
        for entity in Entity::ALL {
            assert_eq!(parsed(entity.default_topic()), Some((entity, entity.default_topic().to_owned())));
        }
        assert_eq!(parsed("db1.public.users"), Some((Entity::Users, "db1.public.users".to_owned())));
        assert_eq!(parsed("videos"), Some((Entity::Videos, "videos".to_owned())));
    }

    #[test]
    fn any_other_name_needs_its_entity() {
        assert_eq!(parsed("videos=clips.v2"), Some((Entity::Videos, "clips.v2".to_owned())));
        assert_eq!(parsed(" users = people "), Some((Entity::Users, "people".to_owned())));
        assert!(ChangeTopic::parse("clips.v2").unwrap_err().contains("videos=clips.v2"));
        assert!(ChangeTopic::parse("cats=x").unwrap_err().contains("allowed are videos and users"));
    }
}
