/* SPDX-License-Identifier: MIT */
/*
 * policy.c - the policies that are linked in, and which one is in force.
 *
 * Owns:  global_policy.
 * Not:   what they answer (policy/<name>.c), when they are asked (memory.c, rmap.c, filemap.c).
 */
#include "kernel/mm/policy.h"

#include <string.h>
#include <sys/errno.h>

#include "kernel/core/args.h"
#include "kernel/core/printk.h"

REGISTRY(policies, struct dirty_policy);

unsigned int policy_scope = SCOPE_ALL;
static const char *const scope_names[] = { "all", "locked", "asked", NULL };
ARG_CHOICE(scope, policy_scope, scope_names, "areas in which a policy may leave pages writable");

static const struct dirty_policy unset = { .name = "unset" };
const struct dirty_policy *global_policy = &unset;

const struct dirty_policy *policy_find(const char *name)
{
	struct dirty_policy *p;

	for_each_registered(policies, p)
		if (!strcmp(p->name, name))
			return p;
	return NULL;
}

const struct dirty_policy *policy_next(const struct dirty_policy *p)
{
	p = p ? p + 1 : __reg_policies_start;
	return p < __reg_policies_end ? p : NULL;
}

const struct dirty_policy *policy_by_number(unsigned int number)
{
	return number < (size_t)(__reg_policies_end - __reg_policies_start) ?
		       &__reg_policies_start[number] :
		       NULL;
}

unsigned int policy_number(const struct dirty_policy *policy)
{
	return (unsigned int)(policy - __reg_policies_start);
}

/* As policy_find(), but says what there is. */
static const struct dirty_policy *find_or_complain(const char *name)
{
	const struct dirty_policy *p = policy_find(name);

	if (p)
		return p;
	printk("policy: there is no dirty policy '%s'; there is:", name);
	for (p = policy_next(NULL); p; p = policy_next(p))
		printk(" %s", p->name);
	printk("\n");
	return NULL;
}

int policy_choose(const char *name)
{
	const struct dirty_policy *p = find_or_complain(name);

	if (!p)
		return -EINVAL;
	WRITE_ONCE(global_policy, p);
	return 0;
}

int policy_choose_file(struct address_space *mapping, const char *name)
{
	const struct dirty_policy *p = name ? find_or_complain(name) : NULL;

	if (name && !p)
		return -EINVAL;
	WRITE_ONCE(mapping->policy, p);
	return 0;
}

ARG_CALL(policy, policy_choose, "how dirtiness is learnt: a name from `policy`");
