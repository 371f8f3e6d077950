/**
 * Calls of the kernel that no program of a benchmark needs, refused in the sandbox: looking into other processes, new
 * namespaces and mounts, sockets (those of virtual machines reach out of a network namespace), shared memory that no
 * limit counts, and the parts of the kernel in which most holes were found. A filter of the classic Berkeley kind
 * (seccomp(2)), since bubblewrap takes one.
 */

/** Numbers from the kernel's tables: arch/x86/entry/syscalls/syscall_64.tbl and include/uapi/asm-generic/unistd.h. */
const refused: Record<'x64' | 'arm64', Record<string, number>> = {
  x64: {
    ptrace: 101,
    process_vm_readv: 310,
    process_vm_writev: 311,
    pidfd_getfd: 438,
    kcmp: 312,
    socket: 41,
    shmget: 29,
    semget: 64,
    msgget: 68,
    mount: 165,
    umount2: 166,
    pivot_root: 155,
    chroot: 161,
    unshare: 272,
    setns: 308,
    open_tree: 428,
    move_mount: 429,
    fsopen: 430,
    fsmount: 432,
    mount_setattr: 442,
    name_to_handle_at: 303,
    open_by_handle_at: 304,
    keyctl: 250,
    add_key: 248,
    request_key: 249,
    bpf: 321,
    perf_event_open: 298,
    userfaultfd: 323,
    io_uring_setup: 425,
    io_uring_enter: 426,
    io_uring_register: 427,
    kexec_load: 246,
  },
  arm64: {
    ptrace: 117,
    process_vm_readv: 270,
    process_vm_writev: 271,
    pidfd_getfd: 438,
    kcmp: 272,
    socket: 198,
    shmget: 194,
    semget: 190,
    msgget: 186,
    mount: 40,
    umount2: 39,
    pivot_root: 41,
    chroot: 51,
    unshare: 97,
    setns: 268,
    open_tree: 428,
    move_mount: 429,
    fsopen: 430,
    fsmount: 432,
    mount_setattr: 442,
    name_to_handle_at: 264,
    open_by_handle_at: 265,
    keyctl: 219,
    add_key: 217,
    request_key: 218,
    bpf: 280,
    perf_event_open: 241,
    userfaultfd: 282,
    io_uring_setup: 425,
    io_uring_enter: 426,
    io_uring_register: 427,
    kexec_load: 104,
  },
};
const clone = { x64: 56, arm64: 220 };
/** The same number everywhere; its flags lie in memory, where a filter cannot see them. */
const clone3 = 435;
/** AUDIT_ARCH_X86_64 and AUDIT_ARCH_AARCH64. */
const audit = { x64: 0xc000003e, arm64: 0xc00000b7 };
/** CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID and NEWNET. */
const newNamespaces = 0x7e020000;
/** Calls of the x32 kind, of which each number says so in this bit. */
const x32Bit = 0x40000000;

const load = 0x20;
const jumpIfEqual = 0x15;
const jumpIfAtLeast = 0x35;
const jumpIfAnyBit = 0x45;
const give = 0x06;
const allow = 0x7fff0000;
const killProcess = 0x80000000;
const failWith = (error: number) => 0x00050000 | error;
const notPermitted = 1;
const noSuchCall = 38;

/** Places in struct seccomp_data. */
const at = { number: 0, architecture: 4, firstArgument: 16 };

export const hasFilter = (architecture: string): architecture is 'x64' | 'arm64' =>
  Object.hasOwn(refused, architecture);

/** The filter as bubblewrap reads it: struct sock_filter after struct sock_filter, little-endian. */
export function systemCallFilter(architecture: 'x64' | 'arm64'): Buffer {
  const program: [code: number, ifTrue: number, ifFalse: number, value: number][] = [
    [load, 0, 0, at.architecture],
    [jumpIfEqual, 1, 0, audit[architecture]],
    [give, 0, 0, killProcess],
    [load, 0, 0, at.number],
  ];
  const refuseIf = (test: number, value: number, error: number) =>
    program.push([test, 0, 1, value], [give, 0, 0, failWith(error)]);
  refuseIf(jumpIfAtLeast, x32Bit, noSuchCall);
  for (const number of Object.values(refused[architecture])) refuseIf(jumpIfEqual, number, notPermitted);
  refuseIf(jumpIfEqual, clone3, noSuchCall);
  program.push([jumpIfEqual, 0, 3, clone[architecture]], [load, 0, 0, at.firstArgument]);
  refuseIf(jumpIfAnyBit, newNamespaces, notPermitted);
  program.push([give, 0, 0, allow]);
  const bytes = Buffer.alloc(8 * program.length);
  program.forEach(([code, ifTrue, ifFalse, value], i) => {
    bytes.writeUInt16LE(code, 8 * i);
    bytes.writeUInt8(ifTrue, 8 * i + 2);
    bytes.writeUInt8(ifFalse, 8 * i + 3);
    bytes.writeUInt32LE(value >>> 0, 8 * i + 4);
  });
  return bytes;
}
