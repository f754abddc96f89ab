//! `venvs`: a real environment with wheels made on the spot, without network; a requirement that can't be had takes
//! back what was installed beside it.

use std::process::Command;

use serde_json::json;

use super::files::Without;
use super::scene::{Scene, assert_step};

const REQUIREMENTS: &str = "/srv/app/requirements.txt";

// As pip wants it; everything in it is named by name and version.
const WHEEL: &str = r#"
import sys, zipfile
folder, name, version, *requires = sys.argv[1:]
information = f"{name}-{version}.dist-info"
with zipfile.ZipFile(f"{folder}/{name}-{version}-py3-none-any.whl", "w") as wheel:
    wheel.writestr(f"{name}.py", f"VERSION = '{version}'\n")
    needs = "".join(f"Requires-Dist: {each}\n" for each in requires)
    wheel.writestr(f"{information}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{needs}")
    wheel.writestr(f"{information}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
    record = [f"{name}.py", *(f"{information}/{each}" for each in ("METADATA", "WHEEL", "RECORD"))]
    wheel.writestr(f"{information}/RECORD", "".join(f"{each},,\n" for each in record))
"#;

fn scene() -> Scene {
    let mut scene = Scene::new("venvs");
    // What Python brings along differs with its version; what is asked of it does not.
    scene.without(Without {
        content_of: vec!["bin", "pyvenv.cfg", "environments.json", "RECORD"],
        beginning: vec!["pip", "setuptools", "pkg_resources", "_distutils_hack", "distutils-precedence", "__pycache__"],
    });
    let minor = python(&["-c", "import sys; print('%d.%d' % sys.version_info[:2])"]);
    scene.replace(python(&["-c", "import platform; print(platform.python_version())"]), "3.x.y");
    scene.replace(format!("python{minor}"), "python3.x");
    scene.root.folder("/srv/wheels");
    scene.installed();
    wheel(&scene, &["alpha", "1.0"]);
    wheel(&scene, &["beta", "1.0", "alpha>=1"]);
    scene.root.write(REQUIREMENTS, "-r more.txt\nbeta\n").write("/srv/app/more.txt", "alpha==1.0\n");
    scene.settings(&json!({"configuration": {
        "environments": [{"path": "/srv/app/venv", "requirements": REQUIREMENTS}],
        "pip_options": ["--no-index", "--find-links=/srv/wheels"],
        "backup_paths": ["/srv/app/venv/"],
    }}));
    scene
}

fn python(arguments: &[&str]) -> String {
    let output = Command::new("/usr/bin/python3").arg("-I").args(arguments).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

fn wheel(scene: &Scene, words: &[&str]) {
    let folder = scene.root.at("/srv/wheels");
    python(&[&["-c", WHEEL, folder.to_str().unwrap()], words].concat());
}

/// The version that the environment's own Python imports, seen from outside.
fn version(scene: &Scene, name: &str) -> String {
    let lib = scene.root.at("/srv/app/venv/lib");
    let program = "import glob, runpy, sys; print(runpy.run_path(glob.glob(sys.argv[1])[0])['VERSION'])";
    python(&["-c", program, &format!("{}/python3*/site-packages/{name}.py", lib.display())])
}

#[test]
fn an_environment_is_made_left_alone_and_brought_up_to_date() {
    let scene = scene();
    assert_step!("venvs_check_before", scene.check());
    assert_step!("venvs_first", scene.run());
    assert_step!("venvs_second", scene.run());
    assert_step!("venvs_check_after", scene.check());
    wheel(&scene, &["alpha", "2.0"]);
    scene.root.write("/srv/app/more.txt", "alpha==2.0\n");
    assert_step!("venvs_third", scene.run());
    assert_eq!((version(&scene, "alpha"), version(&scene, "beta")), ("2.0".to_owned(), "1.0".to_owned()));
}

#[test]
fn an_environment_that_can_not_be_made_is_not_there_afterwards() {
    let scene = scene();
    scene.root.write("/srv/app/more.txt", "alpha==3.0\n");
    assert_step!("venvs_not_made", scene.run());
    assert!(!scene.root.exists("/srv/app/venv"));
}

#[test]
fn a_failure_puts_the_old_environment_back() {
    let scene = scene();
    scene.run();
    // It goes in before pip finds that it does not fit.
    wheel(&scene, &["alpha", "2.0"]);
    wheel(&scene, &["beta", "2.0", "gamma"]);
    scene.root.write(REQUIREMENTS, "alpha==2.0\nbeta==2.0\n");
    let mut settings = scene.root.read_json("/etc/updates/modules.d/venvs.json");
    settings["configuration"]["pip_options"].as_array_mut().unwrap().push(json!("--no-deps"));
    scene.settings(&settings);
    assert_step!("venvs_failure", scene.failing_run());
    assert_eq!((version(&scene, "alpha"), version(&scene, "beta")), ("1.0".to_owned(), "1.0".to_owned()));
}
