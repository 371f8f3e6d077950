/** The pages of the studio, in the order of the sidebar. */
export const places: readonly {
  section: string;
  label: string;
  href: string;
  /** After g, it goes there. */
  key: string;
  /** Its sign in the sidebar; null: it is not there. */
  icon: 'home' | 'models' | 'data' | 'plan' | 'train' | 'evaluate' | 'chat' | 'export' | 'settings' | null;
}[] = [
  { section: '', label: 'Home', href: '/', key: 'h', icon: 'home' },
  { section: 'models', label: 'Models', href: '/models', key: 'm', icon: 'models' },
  { section: 'data', label: 'Data', href: '/data', key: 'd', icon: 'data' },
  { section: 'plan', label: 'Plan', href: '/plan', key: 'p', icon: 'plan' },
  { section: 'train', label: 'Train', href: '/train', key: 't', icon: 'train' },
  { section: 'runs', label: 'Runs', href: '/train/runs', key: 'r', icon: null },
  { section: 'queue', label: 'Queue', href: '/train/queue', key: 'q', icon: null },
  { section: 'evaluate', label: 'Evaluate', href: '/evaluate', key: 'e', icon: 'evaluate' },
  { section: 'chat', label: 'Chat', href: '/chat', key: 'c', icon: 'chat' },
  { section: 'export', label: 'Export', href: '/export', key: 'x', icon: 'export' },
  { section: 'settings', label: 'Settings', href: '/settings', key: 's', icon: 'settings' },
];
