import { addUser } from './add-user.ts';
import { addVhost } from './add-vhost.ts';
import { changeUser } from './change-user.ts';
import { clearPermissions } from './clear-permissions.ts';
import { clearTopicPermissions } from './clear-topic-permissions.ts';
import { deleteUser } from './delete-user.ts';
import { deleteVhost } from './delete-vhost.ts';
import { listDelayed } from './list-delayed.ts';
import { listPermissions } from './list-permissions.ts';
import { listTopicPermissions } from './list-topic-permissions.ts';
import { listUsers } from './list-users.ts';
import { listVhosts } from './list-vhosts.ts';
import { redrive } from './redrive.ts';
import { setPermissions } from './set-permissions.ts';
import { setTopicPermissions } from './set-topic-permissions.ts';
import { cancelDelayed } from './cancel-delayed.ts';
import type { ControlVerb } from './control-verb.ts';
import { whoAmI } from './who-am-i.ts';

/** What a session may ask the broker for; a server adds verbs of its own (server/amqp/control/). */
export const controlVerbs: readonly ControlVerb[] = [
  whoAmI,
  listUsers,
  addUser,
  changeUser,
  deleteUser,
  listVhosts,
  addVhost,
  deleteVhost,
  listPermissions,
  setPermissions,
  clearPermissions,
  listTopicPermissions,
  setTopicPermissions,
  clearTopicPermissions,
  listDelayed,
  cancelDelayed,
  redrive,
];
