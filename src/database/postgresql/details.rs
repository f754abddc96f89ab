//! What pg_dump does not put into the dump of a database: the database's own properties. Asked before a dump, and
//! given to the database that the dump is loaded into.

use serde::{Deserialize, Serialize};

use super::quote::{identifier, list, literal};

/// What a dump itself does not say.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Details {
    /// The server's version as a number, such as 150018 for 15.18.
    pub version: u32,
    /// Role that owns the database.
    pub owner: String,
    /// Encoding, such as `UTF8`.
    pub encoding: String,
    /// `LC_COLLATE`.
    pub collate: String,
    /// `LC_CTYPE`.
    pub ctype: String,
    /// Locale provider: `c`, `i` or `b`; from version 15 on.
    pub provider: Option<String>,
    /// The provider's locale.
    pub locale: Option<String>,
    /// ICU's collation rules.
    pub icu_rules: Option<String>,
    /// Tablespace that the database is in.
    pub tablespace: String,
    /// Connections at the same time; -1 for any number.
    pub connection_limit: i32,
    /// Whether it may be cloned by anyone.
    pub template: bool,
    /// Rights on the database; absent when they were never changed from the default.
    pub grants: Option<Vec<Grant>>,
    /// Comment on the database.
    pub comment: Option<String>,
    /// Settings made for the database, and for roles in it.
    pub settings: Vec<Setting>,
    /// Every role that owns something in it or has rights there.
    pub roles: Vec<String>,
    /// Every extension in it.
    pub extensions: Vec<String>,
    /// Roles that own objects in it: whoever loads the dump acts for them.
    #[serde(default)]
    pub owners: Vec<String>,
    /// Extensions that only a superuser can create.
    #[serde(default)]
    pub privileged: Vec<String>,
}

/// One right on the database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    /// Role that granted it.
    pub grantor: String,
    /// Role that has it; everyone when absent.
    pub grantee: Option<String>,
    /// Such as `CONNECT`.
    pub privilege: String,
    /// Whether it may be granted on.
    pub grantable: bool,
}

/// `name=value` for all roles or one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Setting {
    /// The role; all when absent.
    pub role: Option<String>,
    /// `name=value`.
    pub setting: String,
}

/// Asks for the [`Details`] of the database that is connected to, as one JSON object. Columns that not every version has
/// are taken by name from the row as JSON.
pub(super) const QUESTION: &str = "
SELECT json_build_object(
  'version', current_setting('server_version_num')::int4,
  'owner', pg_get_userbyid(d.datdba),
  'encoding', pg_encoding_to_char(d.encoding),
  'collate', d.datcollate,
  'ctype', d.datctype,
  'provider', to_jsonb(d)->>'datlocprovider',
  'locale', coalesce(to_jsonb(d)->>'datlocale', to_jsonb(d)->>'daticulocale'),
  'icu_rules', to_jsonb(d)->>'daticurules',
  'tablespace', t.spcname,
  'connection_limit', d.datconnlimit,
  'template', d.datistemplate,
  'grants', CASE WHEN d.datacl IS NULL THEN NULL ELSE (SELECT coalesce(json_agg(json_build_object(
      'grantor', pg_get_userbyid(a.grantor),
      'grantee', CASE a.grantee WHEN 0 THEN NULL ELSE pg_get_userbyid(a.grantee) END,
      'privilege', a.privilege_type, 'grantable', a.is_grantable)), '[]') FROM aclexplode(d.datacl) a) END,
  'comment', shobj_description(d.oid, 'pg_database'),
  'settings', (SELECT coalesce(json_agg(json_build_object(
      'role', CASE s.setrole WHEN 0 THEN NULL ELSE pg_get_userbyid(s.setrole) END, 'setting', c)), '[]')
    FROM pg_db_role_setting s, unnest(s.setconfig) c WHERE s.setdatabase = d.oid),
  'roles', (SELECT coalesce(json_agg(name ORDER BY name), '[]') FROM (
      SELECT r.rolname AS name FROM pg_shdepend s JOIN pg_roles r ON r.oid = s.refobjid
        WHERE s.refclassid = 'pg_authid'::regclass
        AND (s.dbid = d.oid OR (s.dbid = 0 AND s.classid = 'pg_database'::regclass AND s.objid = d.oid))
      UNION SELECT pg_get_userbyid(d.datdba)
      UNION SELECT pg_get_userbyid(s.setrole) FROM pg_db_role_setting s
        WHERE s.setdatabase = d.oid AND s.setrole <> 0) names),
  'extensions', (SELECT coalesce(json_agg(extname ORDER BY extname), '[]') FROM pg_extension)
) FROM pg_database d JOIN pg_tablespace t ON t.oid = d.dattablespace WHERE d.datname = current_database()";

/// Settings whose value is a list of names; see `GUC_LIST_QUOTE` in PostgreSQL's source, which pg_dump names likewise.
const LISTS: [&str; 6] = [
    "local_preload_libraries",
    "search_path",
    "session_preload_libraries",
    "shared_preload_libraries",
    "temp_tablespaces",
    "unix_socket_directories",
];

impl Details {
    /// Makes an empty database like this one.
    pub(super) fn create(&self, name: &str) -> String {
        let mut statement = format!(
            "CREATE DATABASE {} TEMPLATE template0 OWNER {} ENCODING {} LC_COLLATE {} LC_CTYPE {}",
            identifier(name),
            identifier(&self.owner),
            literal(&self.encoding),
            literal(&self.collate),
            literal(&self.ctype),
        );
        // The template is there already, and naming it would take a right that its use does not.
        if self.tablespace != "pg_default" {
            statement += &format!(" TABLESPACE {}", identifier(&self.tablespace));
        }
        let (provider, key) = match self.provider.as_deref() {
            Some("i") => ("icu", "ICU_LOCALE"),
            Some("b") => ("builtin", "BUILTIN_LOCALE"),
            Some("c") => ("libc", ""),
            _ => return statement,
        };
        statement += &format!(" LOCALE_PROVIDER {provider}");
        if let (Some(locale), false) = (&self.locale, key.is_empty()) {
            statement += &format!(" {key} {}", literal(locale));
        }
        if let Some(rules) = &self.icu_rules {
            statement += &format!(" ICU_RULES {}", literal(rules));
        }
        statement
    }

    /// Gives a loaded database what it does not get from [`create`](Self::create) and the dump; in one transaction.
    pub(super) fn apply(&self, name: &str) -> Vec<String> {
        let database = identifier(name);
        let mut statements = vec![format!(
            "ALTER DATABASE {database} WITH CONNECTION LIMIT {} IS_TEMPLATE {}",
            self.connection_limit, self.template
        )];
        if let Some(comment) = &self.comment {
            statements.push(format!("COMMENT ON DATABASE {database} IS {}", literal(comment)));
        }
        statements.extend(self.settings.iter().filter_map(|setting| setting.statement(&database)));
        if let Some(grants) = &self.grants {
            statements.push(format!("REVOKE ALL ON DATABASE {database} FROM PUBLIC, {}", identifier(&self.owner)));
            // What the owner grants comes first: others grant on only what they have.
            let (first, then): (Vec<_>, Vec<_>) = grants.iter().partition(|grant| grant.grantor == self.owner);
            statements.extend(first.iter().map(|grant| grant.statement(&database)));
            for grant in then {
                statements.push(format!("SET LOCAL ROLE {}", identifier(&grant.grantor)));
                statements.push(grant.statement(&database));
                statements.push("RESET ROLE".to_owned());
            }
        }
        statements
    }
}

impl Grant {
    fn statement(&self, database: &str) -> String {
        let to = self.grantee.as_deref().map_or_else(|| "PUBLIC".to_owned(), identifier);
        let on = if self.grantable { " WITH GRANT OPTION" } else { "" };
        // The server's own word for a right, but from a file: nothing else gets into the statement.
        let privilege: String = self.privilege.chars().filter(|c| c.is_ascii_uppercase() || *c == ' ').collect();
        format!("GRANT {privilege} ON DATABASE {database} TO {to}{on}")
    }
}

impl Setting {
    fn statement(&self, database: &str) -> Option<String> {
        let (name, value) = self.setting.split_once('=')?;
        let whose = match &self.role {
            Some(role) => format!("ROLE {} IN DATABASE {database}", identifier(role)),
            None => format!("DATABASE {database}"),
        };
        let value = match list(value) {
            names if LISTS.contains(&name.to_ascii_lowercase().as_str()) && !names.is_empty() => {
                names.iter().map(|name| literal(name)).collect::<Vec<_>>().join(", ")
            }
            _ => literal(value),
        };
        Some(format!("ALTER {whose} SET {} TO {value}", identifier(name)))
    }
}
