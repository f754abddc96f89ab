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
    /// What of the database's own properties it could not give to another one.
    unsettable: Vec<String>,
    /// Whose sessions in the database it can't end, of those that have been there for a while: who only looks in is waited
    /// for.
    unendable: Vec<String>,
}

/// Whether the role who asks may end a session: pg_terminate_backend, "Server Signaling Functions".
pub(super) const ENDABLE: &str = "(pg_has_role(usesysid, 'USAGE') OR pg_has_role('pg_signal_backend', 'USAGE'))
  AND ((SELECT rolsuper FROM pg_roles WHERE rolname = current_user)
    OR NOT (SELECT rolsuper FROM pg_roles o WHERE o.oid = usesysid))";

/// Properties of a database that the role who asks could not give to another one. pg_settings says
/// what anyone may set; a name that it does not know is a setting of some extension, and needs a superuser.
const UNSETTABLE: &str = "SELECT coalesce(json_agg(name), '[]') FROM (
  SELECT 'set ' || split_part(c, '=', 1) AS name FROM pg_db_role_setting s, unnest(s.setconfig) c
    WHERE s.setdatabase = db.oid AND NOT EXISTS (SELECT FROM pg_settings g
      WHERE lower(g.name) = lower(split_part(c, '=', 1)) AND g.context = 'user') AND NOT GRANTED
  UNION SELECT 'set anything for ' || o.rolname FROM pg_db_role_setting s JOIN pg_roles o ON o.oid = s.setrole
    WHERE s.setdatabase = db.oid AND o.rolname <> current_user AND (o.rolsuper OR NOT r.rolcreaterole)
  UNION SELECT 'use the tablespace ' || t.spcname FROM pg_tablespace t WHERE t.oid = db.dattablespace
    AND t.spcname <> 'pg_default' AND NOT has_tablespace_privilege(t.oid, 'CREATE')
  UNION SELECT 'grant as ' || pg_get_userbyid(a.grantor) FROM aclexplode(db.datacl) a
    WHERE a.grantor <> db.datdba AND NOT pg_has_role(a.grantor, 'MEMBER')) names";

/// What the declared role finds in the database itself.
#[derive(Debug, Deserialize)]
pub(super) struct Content {
    /// Roles that own objects in it.
    pub owners: Vec<String>,
    /// What only a superuser can create.
    pub privileged: Vec<String>,
    unreadable: Vec<String>,
}

/// Every catalog whose objects belong to a role, with the columns that say to whom, and under what the object's extension is
/// looked up. pg_shdepend alone does not do: it leaves out what belongs to the role that initdb made.
const OWNED: [(&str, &str); 17] = [
    ("pg_class", "relowner"),
    ("pg_collation", "collowner"),
    ("pg_conversion", "conowner"),
    ("pg_default_acl", "defaclrole"),
    ("pg_event_trigger", "evtowner"),
    ("pg_foreign_data_wrapper", "fdwowner"),
    ("pg_foreign_server", "srvowner"),
    ("pg_language", "lanowner"),
    ("pg_namespace", "nspowner"),
    ("pg_opclass", "opcowner"),
    ("pg_operator", "oprowner"),
    ("pg_opfamily", "opfowner"),
    ("pg_proc", "proowner"),
    ("pg_statistic_ext", "stxowner"),
    ("pg_ts_config", "cfgowner"),
    ("pg_ts_dict", "dictowner"),
    ("pg_type", "typowner"),
];

/// What only a superuser can create, whoever owns it: what it is, its name, its catalog, and which of the catalog.
const PRIVILEGED: [(&str, &str, &str, &str); 11] = [
    ("event trigger", "x.evtname", "pg_event_trigger", "true"),
    ("foreign data wrapper", "x.fdwname", "pg_foreign_data_wrapper", "true"),
    // Nobody else sees the passwords of its user mappings, so that a dump would lack them.
    ("foreign server", "x.srvname", "pg_foreign_server", "true"),
    ("language", "x.lanname", "pg_language", "true"),
    ("access method", "x.amname", "pg_am", "true"),
    ("operator class", "x.opcname", "pg_opclass", "true"),
    ("text search parser", "x.prsname", "pg_ts_parser", "true"),
    ("text search template", "x.tmplname", "pg_ts_template", "true"),
    ("cast", "format('%s AS %s', x.castsource::regtype, x.casttarget::regtype)", "pg_cast", "x.castmethod = 'b'"),
    ("type", "x.typname", "pg_type", "x.typtype = 'b' AND NOT EXISTS (SELECT FROM pg_type e WHERE e.typarray = x.oid)"),
    (
        "function",
        "x.proname",
        "pg_proc",
        "(x.proleakproof OR x.prosupport <> 0 OR EXISTS (SELECT FROM pg_language l
          WHERE l.oid = x.prolang AND NOT l.lanpltrusted AND l.lanname <> 'sql'))",
    ),
];

/// Asks for the [`Content`] of the database that is connected to.
fn content() -> String {
    // What belongs to an extension comes with it ('e'), and what belongs to another object with that one ('i'): array types,
    // the constructors of a range type, which are the first superuser's whoever made the type.
    let own = |catalog: &str, kinds: &str| {
        format!(
            "FROM {catalog} x WHERE x.oid >= 16384 AND NOT EXISTS (SELECT FROM pg_depend d
               WHERE d.classid = '{catalog}'::regclass AND d.objid = x.oid AND d.deptype IN ({kinds}))"
        )
    };
    let owners = OWNED.map(|(catalog, column)| {
        let which = if catalog == "pg_class" { "AND x.relkind NOT IN ('i', 'I', 't')" } else { "" };
        format!("SELECT pg_get_userbyid(x.{column}) AS name {} {which}", own(catalog, "'e', 'i'"))
    });
    let privileged = PRIVILEGED.map(|(kind, name, catalog, which)| {
        let own = own(catalog, "'e', 'i'");
        format!("SELECT format('the {kind} %s', {name}) AS name {own} AND {which}")
    });
    format!(
        "WITH mine AS (SELECT x.* {} AND x.relkind IN ('r', 'p', 'm', 'S', 'v') AND x.relpersistence <> 't')
         SELECT json_build_object(
          'owners', (SELECT coalesce(json_agg(name), '[]') FROM (
              SELECT r.rolname AS name FROM pg_shdepend s JOIN pg_roles r ON r.oid = s.refobjid
                WHERE s.refclassid = 'pg_authid'::regclass AND s.deptype = 'o'
                AND s.dbid = (SELECT oid FROM pg_database WHERE datname = current_database())
              UNION SELECT pg_get_userbyid(lomowner) FROM pg_largeobject_metadata
              UNION {}) names),
          'privileged', (SELECT coalesce(json_agg(name), '[]') FROM (
              SELECT format('the extension %s', e.extname) AS name FROM pg_extension e
                JOIN pg_available_extension_versions v ON v.name = e.extname AND v.version = e.extversion
                WHERE e.oid >= 16384 AND v.superuser AND coalesce(to_jsonb(v)->>'trusted', 'false') = 'false'
              UNION SELECT format('the publication %s', p.pubname) FROM pg_publication p WHERE p.puballtables
              UNION SELECT format('the subscription %s', s.subname) FROM pg_subscription s
                WHERE s.subdbid = (SELECT oid FROM pg_database WHERE datname = current_database())
              UNION {}) names),
          'unreadable', (SELECT coalesce(json_agg(name), '[]') FROM (
              SELECT format('%I.%I', n.nspname, m.relname) AS name FROM mine m JOIN pg_namespace n ON n.oid = m.relnamespace
                WHERE m.relkind IN ('r', 'p', 'S') AND NOT (has_schema_privilege(n.oid, 'USAGE')
                  AND CASE m.relkind WHEN 'S' THEN has_sequence_privilege(m.oid, 'SELECT')
                    ELSE has_table_privilege(m.oid, 'SELECT') END)
              UNION ALL SELECT 'the large object ' || l.oid FROM pg_largeobject_metadata l
                WHERE NOT pg_has_role(l.lomowner, 'USAGE') AND NOT EXISTS (SELECT FROM aclexplode(l.lomacl) a
                  WHERE a.privilege_type = 'SELECT'
                  AND CASE a.grantee WHEN 0 THEN true ELSE pg_has_role(a.grantee, 'USAGE') END)
                ORDER BY 1 LIMIT 4) names))",
        own("pg_class", "'e'"),
        owners.join(" UNION "),
        privileged.join(" UNION "),
    )
}

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
              'foreign', {foreign},
              'unendable', (SELECT coalesce(json_agg(DISTINCT usename), '[]') FROM pg_stat_activity
                WHERE datname = {} AND usesysid IS NOT NULL AND backend_start < now() - interval '1 minute'
                AND NOT ({ENDABLE})),
              'unsettable', coalesce(({}), '[]')) FROM pg_roles r WHERE r.rolname = current_user",
            literal(database),
            literal(database),
            Self::unsettable(database, "false"),
        );
        let mut role: Self = serde_json::from_str(&way.ask(at, &[&question], "ask for rights", access.short())?)?;
        // From version 15 on, settings can be granted one by one; older servers don't know the function.
        if !role.superuser && !role.unsettable.is_empty() && role.version >= 15 {
            let granted = "has_parameter_privilege(split_part(c, '=', 1), 'SET')";
            let question = format!(
                "SELECT coalesce(({}), '[]') FROM pg_roles r WHERE r.rolname = current_user",
                Self::unsettable(database, granted)
            );
            role.unsettable = serde_json::from_str(&way.ask(at, &[&question], "ask for rights", access.short())?)?;
        }
        Ok(role)
    }

    fn unsettable(database: &str, granted: &str) -> String {
        let names = UNSETTABLE.replace("GRANTED", granted);
        format!("SELECT ({names}) FROM pg_database db WHERE db.datname = {}", literal(database))
    }

    /// What it lacks to put another database in the place of this one. What properties and clients the live one has counts
    /// only while it is `saving`: a restore gives it other properties, and waits for the clients.
    fn lacks_to_keep(&self, saving: bool) -> Option<String> {
        match self {
            Self { superuser: true, .. } => None,
            Self { createdb: false, .. } => Some("it may not create databases (CREATEDB)".to_owned()),
            Self { owns: Some(false), .. } => Some("it does not own the database".to_owned()),
            Self { unsettable, .. } if saving && !unsettable.is_empty() => {
                Some(format!("the database has properties that need more rights (it can't {})", unsettable.join(", ")))
            }
            // Its clients are connected from one run to the next; who is there now will be there then.
            Self { unendable, .. } if saving && !unendable.is_empty() => Some(format!(
                "it can't end the sessions of {} there (pg_signal_backend, or membership)",
                unendable.join(", ")
            )),
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
            _ if !privileged.is_empty() => Some(format!("only a superuser can create {}", privileged.join(", "))),
            Self { owns: Some(false), .. } => Some("it does not own the database".to_owned()),
            _ => None,
        }
    }
}

impl Ways {
    /// Finds the ways to save a database now and to put it back later.
    pub fn to_save(server: &ServerDatabase, access: &Access<'_>) -> Result<(Self, Content), Problem> {
        let user = Connection::user(server, &server.database, access)?;
        let content = user.ask(&server.database, &[&content()], "ask for its content", access.short())?;
        let content: Content = serde_json::from_str(&content)?;
        if !content.unreadable.is_empty() {
            return Err(Problem::Unreadable { role: user.role, what: content.unreadable.join(", ") });
        }
        let ways = Self::find(server, user, &server.database, &content.owners, &content.privileged, true, access)?;
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
                Ok(user) => return Self::find(server, user, at, owners, privileged, false, access),
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
        Self::find(server, user, &server.database, owners, privileged, false, access)
    }

    fn find(
        server: &ServerDatabase,
        user: Connection,
        at: &str,
        owners: &[String],
        privileged: &[String],
        saving: bool,
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
        if let Some(lacking) = keeping.as_ref().unwrap_or(&role).lacks_to_keep(saving) {
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
