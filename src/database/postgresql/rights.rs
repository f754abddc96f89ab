//! Asked before a module runs: may this role dump all of the database, and may it, or the admin, put it back?

use serde::Deserialize;
use updates_protocol::ServerDatabase;

use super::connection::Connection;
use super::problem::Problem;
use super::quote::{identifier, literal};
use crate::database::Access;

/// The ways to a server that a backup and a restore need.
#[derive(Debug)]
pub(super) struct Ways {
    /// Reads and loads.
    pub user: Connection,
    /// Creates, renames and drops databases.
    pub keeper: Connection,
    /// What `keeper` connects to.
    pub maintenance: &'static str,
    /// Loads the dump: `user` where that suffices, since what is loaded runs with the rights of the role that loads it.
    pub loader: Connection,
}

/// What a role may do with a server.
#[derive(Debug, Deserialize)]
struct Role {
    version: u32,
    standby: bool,
    server: String,
    superuser: bool,
    createdb: bool,
    /// Whether it has the rights of the database's owner; absent where there is no such database.
    owns: Option<bool>,
    /// Which of the roles asked about it can't act for.
    foreign: Vec<String>,
}

/// What the declared role finds in the database itself.
#[derive(Debug, Deserialize)]
pub(super) struct Content {
    /// Roles that own objects in it.
    pub owners: Vec<String>,
    /// Extensions that only a superuser can create.
    pub privileged: Vec<String>,
    unreadable: Vec<String>,
}

const CONTENT: &str = "
WITH mine AS (SELECT c.* FROM pg_class c WHERE c.oid >= 16384 AND c.relkind IN ('r', 'p', 'm', 'S', 'v')
  AND c.relpersistence <> 't'
  AND NOT EXISTS (SELECT FROM pg_depend x WHERE x.classid = 'pg_class'::regclass AND x.objid = c.oid AND x.deptype = 'e'))
SELECT json_build_object(
  'owners', (SELECT coalesce(json_agg(name), '[]') FROM (
      SELECT r.rolname AS name FROM pg_shdepend s JOIN pg_roles r ON r.oid = s.refobjid
        WHERE s.refclassid = 'pg_authid'::regclass AND s.deptype = 'o'
        AND s.dbid = (SELECT oid FROM pg_database WHERE datname = current_database())
      UNION SELECT pg_get_userbyid(relowner) FROM mine
      UNION SELECT pg_get_userbyid(p.proowner) FROM pg_proc p WHERE p.oid >= 16384
        AND NOT EXISTS (SELECT FROM pg_depend x
          WHERE x.classid = 'pg_proc'::regclass AND x.objid = p.oid AND x.deptype = 'e')) names),
  'privileged', (SELECT coalesce(json_agg(e.extname), '[]') FROM pg_extension e
    JOIN pg_available_extension_versions v ON v.name = e.extname AND v.version = e.extversion
    WHERE e.oid >= 16384 AND v.superuser AND coalesce(to_jsonb(v)->>'trusted', 'false') = 'false'),
  'unreadable', (SELECT coalesce(json_agg(name), '[]') FROM (
      SELECT format('%I.%I', n.nspname, m.relname) AS name FROM mine m JOIN pg_namespace n ON n.oid = m.relnamespace
        WHERE m.relkind IN ('r', 'p', 'S') AND NOT (has_schema_privilege(n.oid, 'USAGE')
          AND CASE m.relkind WHEN 'S' THEN has_sequence_privilege(m.oid, 'SELECT')
            ELSE has_table_privilege(m.oid, 'SELECT') END)
      UNION ALL SELECT 'the large object ' || l.oid FROM pg_largeobject_metadata l
        WHERE NOT pg_has_role(l.lomowner, 'USAGE') AND NOT EXISTS (SELECT FROM aclexplode(l.lomacl) a
          WHERE a.privilege_type = 'SELECT' AND CASE a.grantee WHEN 0 THEN true ELSE pg_has_role(a.grantee, 'USAGE') END)
        ORDER BY 1 LIMIT 4) names))";

impl Role {
    fn ask(way: &Connection, at: &str, database: &str, roles: &[String], access: &Access<'_>) -> Result<Self, Problem> {
        let roles: Vec<_> = roles.iter().map(|role| format!("({})", literal(role))).collect();
        let foreign = match roles.is_empty() {
            true => "'[]'::json".to_owned(),
            false => format!(
                "(SELECT coalesce(json_agg(n), '[]') FROM (VALUES {}) w(n)
                  WHERE CASE WHEN EXISTS (SELECT FROM pg_roles WHERE rolname = n)
                    THEN NOT pg_has_role(n::name, 'MEMBER') ELSE false END)",
                roles.join(", ")
            ),
        };
        let question = format!(
            "SELECT json_build_object(
              'version', current_setting('server_version_num')::int4 / 10000,
              'standby', pg_is_in_recovery(),
              'server', pg_postmaster_start_time()::text,
              'superuser', r.rolsuper, 'createdb', r.rolcreatedb,
              'owns', (SELECT pg_has_role(datdba, 'USAGE') FROM pg_database WHERE datname = {}),
              'foreign', {foreign}) FROM pg_roles r WHERE r.rolname = current_user",
            literal(database)
        );
        Ok(serde_json::from_str(&way.ask(at, &[&question], "ask for rights", access.short())?)?)
    }

    /// What it lacks to put another database in the place of this one.
    fn lacks_to_keep(&self) -> Option<String> {
        match self {
            Self { superuser: true, .. } => None,
            Self { createdb: false, .. } => Some("it may not create databases (CREATEDB)".to_owned()),
            Self { owns: Some(false), .. } => Some("it does not own the database".to_owned()),
            _ => None,
        }
    }

    /// What it lacks to load a dump with these extensions, and of objects of the roles it was asked about.
    fn lacks_to_load(&self, privileged: &[String]) -> Option<String> {
        match self {
            Self { superuser: true, .. } => None,
            Self { foreign, .. } if !foreign.is_empty() => {
                Some(format!("it is no member of {}, who own objects in it", foreign.join(", ")))
            }
            _ if !privileged.is_empty() => {
                Some(format!("only a superuser can create the extensions {}", privileged.join(", ")))
            }
            Self { owns: Some(false), .. } => Some("it does not own the database".to_owned()),
            _ => None,
        }
    }
}

impl Ways {
    /// Finds the ways to save a database now and to put it back later.
    pub fn to_save(server: &ServerDatabase, access: &Access<'_>) -> Result<(Self, Content), Problem> {
        let user = Connection::user(server, &server.database, access)?;
        let content = user.ask(&server.database, &[CONTENT], "ask for its content", access.short())?;
        let content: Content = serde_json::from_str(&content)?;
        if !content.unreadable.is_empty() {
            return Err(Problem::Unreadable { role: user.role, what: content.unreadable.join(", ") });
        }
        let ways = Self::find(server, user, &server.database, &content.owners, &content.privileged, access)?;
        Ok((ways, content))
    }

    /// Finds the ways to put a database back, which may be missing, or closed by a restore that was interrupted.
    pub fn to_restore(
        server: &ServerDatabase,
        owners: &[String],
        privileged: &[String],
        access: &Access<'_>,
    ) -> Result<Self, Problem> {
        let mut refused = None;
        for at in ["postgres", "template1", server.database.as_str()] {
            match Connection::user(server, at, access) {
                Ok(user) => return Self::find(server, user, at, owners, privileged, access),
                Err(error) => refused.get_or_insert(error),
            };
        }
        let refused = refused.unwrap_or(Problem::NoClient);
        // The role may be let into its own database alone. If that is closed, an admin opens it again.
        let (Some(name), Problem::NoAccess { .. } | Problem::Refused { .. }) = (&server.admin_user, &refused) else {
            return Err(refused);
        };
        let (admin, maintenance) = Connection::admin(server, name, access)?;
        open(&admin, maintenance, &server.database, access)?;
        let user = Connection::user(server, &server.database, access)?;
        Self::find(server, user, &server.database, owners, privileged, access)
    }

    fn find(
        server: &ServerDatabase,
        user: Connection,
        at: &str,
        owners: &[String],
        privileged: &[String],
        access: &Access<'_>,
    ) -> Result<Self, Problem> {
        let database = &server.database;
        let role = Role::ask(&user, at, database, owners, access)?;
        if role.standby {
            return Err(Problem::Standby);
        }
        let user = user.with_version(role.version)?;
        let (keeper, maintenance, keeping) = match server.admin_user.as_deref() {
            Some(name) if name != user.role => {
                let (admin, maintenance) = Connection::admin(server, name, access)?;
                let keeping = Role::ask(&admin, maintenance, database, owners, access)?;
                if keeping.server != role.server {
                    return Err(Problem::TwoServers);
                }
                (admin.with_version(role.version)?, maintenance, Some(keeping))
            }
            _ => (user.clone(), user.maintenance(access)?, None),
        };
        let rights = |role: &Connection, lacking| Problem::Rights { role: role.role.clone(), lacking };
        if let Some(lacking) = keeping.as_ref().unwrap_or(&role).lacks_to_keep() {
            return Err(rights(&keeper, lacking));
        }
        let loader = match (role.lacks_to_load(privileged), &keeping) {
            (None, _) => user.clone(),
            (Some(lacking), None) => return Err(rights(&user, lacking)),
            (Some(_), Some(keeping)) => match keeping.lacks_to_load(privileged) {
                None => keeper.clone(),
                Some(lacking) => return Err(rights(&keeper, lacking)),
            },
        };
        Ok(Self { user, keeper, maintenance, loader })
    }
}

/// Lets clients connect to a database again.
pub(super) fn open(way: &Connection, at: &str, database: &str, access: &Access<'_>) -> Result<(), Problem> {
    let statement = format!("ALTER DATABASE {} WITH ALLOW_CONNECTIONS true", identifier(database));
    way.ask(at, &[&statement], "open the database again", access.short()).map(drop)
}
