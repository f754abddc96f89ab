//! Which capability the kernel asks for before it grants a system call, by capabilities(7) and the page of each call.

/// The capability that a refused call lacked, when one alone explains it.
pub(in crate::supervisor) fn lacking(call: &str, about: Option<&str>) -> Option<&'static str> {
    Some(match call {
        "chown" | "lchown" | "fchown" | "fchownat" | "chown32" | "lchown32" | "fchown32" => "CAP_CHOWN",
        "chmod" | "fchmod" | "fchmodat" | "fchmodat2" | "utime" | "utimes" | "utimensat" | "futimesat" => "CAP_FOWNER",
        "open" | "openat" | "openat2" | "creat" | "mkdir" | "mkdirat" | "rmdir" | "unlink" | "unlinkat" | "rename"
        | "renameat" | "renameat2" | "link" | "linkat" | "symlink" | "symlinkat" | "truncate" | "stat" | "lstat"
        | "newfstatat" | "statx" | "access" | "faccessat" | "faccessat2" | "chdir" | "execve" | "readlink"
        | "readlinkat" | "setxattr" | "lsetxattr" | "fsetxattr" => "CAP_DAC_OVERRIDE",
        "mknod" | "mknodat" => "CAP_MKNOD",
        "mount" | "umount2" | "umount" | "pivot_root" | "open_tree" | "move_mount" | "fsopen" | "fsmount"
        | "fspick" | "fsconfig" | "mount_setattr" | "unshare" | "setns" | "sethostname" | "setdomainname"
        | "swapon" | "swapoff" | "quotactl" | "fanotify_init" => "CAP_SYS_ADMIN",
        "chroot" => "CAP_SYS_CHROOT",
        "setuid" | "setreuid" | "setresuid" | "setfsuid" => "CAP_SETUID",
        "setgid" | "setregid" | "setresgid" | "setgroups" | "setfsgid" => "CAP_SETGID",
        "kill" | "tkill" | "tgkill" | "rt_sigqueueinfo" | "pidfd_send_signal" => "CAP_KILL",
        "reboot" | "kexec_load" | "kexec_file_load" => "CAP_SYS_BOOT",
        "init_module" | "finit_module" | "delete_module" => "CAP_SYS_MODULE",
        "settimeofday" | "clock_settime" | "adjtimex" | "clock_adjtime" => "CAP_SYS_TIME",
        "iopl" | "ioperm" => "CAP_SYS_RAWIO",
        "ptrace" | "process_vm_readv" | "process_vm_writev" | "kcmp" => "CAP_SYS_PTRACE",
        "nice" | "setpriority" | "sched_setscheduler" | "sched_setparam" | "sched_setattr" | "ioprio_set" => {
            "CAP_SYS_NICE"
        }
        "setrlimit" | "prlimit64" => "CAP_SYS_RESOURCE",
        "syslog" => "CAP_SYSLOG",
        "bpf" => "CAP_BPF",
        "perf_event_open" => "CAP_PERFMON",
        "open_by_handle_at" => "CAP_DAC_READ_SEARCH",
        "mlock" | "mlock2" | "mlockall" => "CAP_IPC_LOCK",
        "acct" => "CAP_SYS_PACCT",
        "capset" => "CAP_SETPCAP",
        "bind" if port(about).is_some_and(|port| port < 1024) => "CAP_NET_BIND_SERVICE",
        "socket" if matches!(about, Some("AF_PACKET" | "AF_INET" | "AF_INET6")) => "CAP_NET_RAW",
        _ => return None,
    })
}

/// The port of an address as trace writes it.
pub(in crate::supervisor) fn port(about: Option<&str>) -> Option<u16> {
    about?.rsplit_once(':')?.1.parse().ok()
}
