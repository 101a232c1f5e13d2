/* SPDX-License-Identifier: MIT */
/*
 * test_errseq.c - each listener hears of each error once: by example, against a model that keeps a
 * list, and with threads that race.
 */
#include "kernel/lib/errseq.h"

#include <errno.h>
#include <pthread.h>

#include "tests/host/host.h"

static int tell(u32 *word, u32 *cursor)
{
	return errseq_tell(word, cursor, *cursor);
}

static bool each_hears_once(void)
{
	u32 word = 0, a = errseq_sample(&word), b = errseq_sample(&word);

	errseq_set(&word, -EIO);
	return tell(&word, &a) == -EIO && !tell(&word, &a) && tell(&word, &b) == -EIO &&
	       !tell(&word, &b) && !tell(&word, &a);
}

static bool late_hears_of_the_untold(void)
{
	u32 word = 0, early, late, later;

	early = errseq_sample(&word);
	errseq_set(&word, -ENOSPC);
	late = errseq_sample(&word);
	if (tell(&word, &late) != -ENOSPC)
		return false;
	later = errseq_sample(&word);
	return !tell(&word, &later) && tell(&word, &early) == -ENOSPC;
}

static bool news_is_news_again_when_told(void)
{
	u32 word = 0, a = 0;

	return errseq_set(&word, -EIO) && !errseq_set(&word, -EIO) && !errseq_set(&word, -ENOSPC) &&
	       tell(&word, &a) == -ENOSPC && !tell(&word, &a) && errseq_set(&word, -ENOSPC) &&
	       tell(&word, &a) == -ENOSPC;
}

static bool untold_is_known(void)
{
	u32 word = 0, a = 0;
	bool before = errseq_untold(&word), then;

	errseq_set(&word, -EIO);
	then = errseq_untold(&word) && errseq_last(&word) == -EIO;
	tell(&word, &a);
	return !before && then && !errseq_untold(&word) && errseq_last(&word) == -EIO;
}

/* Both calls began before either ended: neither may say that all is well. */
static bool calls_at_once_are_both_told(void)
{
	u32 word = 0, cursor = 0, first = cursor, second = cursor;

	errseq_set(&word, -EIO);
	return errseq_tell(&word, &cursor, first) == -EIO &&
	       errseq_tell(&word, &cursor, second) == -EIO && !tell(&word, &cursor);
}

/* The second call ends first, with a newer error: the cursor does not go back. */
static bool cursor_does_not_go_back(void)
{
	u32 word = 0, cursor = 0, other = 0, first = cursor;

	errseq_set(&word, -EIO);
	tell(&word, &other);
	errseq_set(&word, -ENOSPC);
	return tell(&word, &cursor) == -ENOSPC && errseq_tell(&word, &cursor, first) == -ENOSPC &&
	       !tell(&word, &cursor);
}

static bool counter_wraps_without_an_error_of_zero(void)
{
	u32 word = 0, a = 0;

	for (unsigned int i = 0; i < 2u << 19; i++) {
		errseq_set(&word, i & 1 ? -EIO : -ENOSPC);
		if (tell(&word, &a) != (i & 1 ? -EIO : -ENOSPC) || !errseq_sample(&word))
			return false;
	}
	return true;
}

/* --- the model: errors are numbered; a listener is owed those above his number ---------------- */

#define LISTENERS 8

static bool agrees_with_model(void)
{
	u32 word = 0, cursor[LISTENERS];
	int nr = 0, told[LISTENERS], last_told = 0;

	for (int i = 0; i < LISTENERS; i++) {
		cursor[i] = errseq_sample(&word);
		told[i] = 0;
	}
	for (int step = 0; step < 1000000; step++) {
		int i = (int)rnd(LISTENERS);

		switch (rnd(3)) {
		case 0:
			errseq_set(&word, -EIO);
			nr++;
			break;
		case 1: /* he closes, and another opens: what nobody was told of is his, too */
			cursor[i] = errseq_sample(&word);
			told[i] = last_told;
			break;
		case 2:
			if (tell(&word, &cursor[i]) != (nr > told[i] ? -EIO : 0))
				return false;
			if (nr > told[i])
				last_told = nr;
			told[i] = nr;
		}
	}
	return true;
}

/* --- threads: whoever looks after an error was set is told of it or of a later one --- */

static u32 shared, nr_set;

static void *setter(void *arg)
{
	for (int i = 0; i < 200000; i++) {
		errseq_set(&shared, -EIO);
		__atomic_add_fetch(&nr_set, 1, __ATOMIC_SEQ_CST);
	}
	return arg;
}

/* NULL, or where it went wrong: told more often than errors happened. */
static void *listener(void *arg)
{
	u32 cursor = errseq_sample(&shared), heard = 0;

	for (int i = 0; i < 200000; i++)
		heard += tell(&shared, &cursor) != 0;
	return heard > 2 * 200000 ? arg : NULL;
}

static bool threads_agree(void)
{
	pthread_t t[4];
	bool good = true;
	void *result;
	u32 last = 0;

	for (int i = 0; i < 4; i++)
		pthread_create(&t[i], NULL, i < 2 ? setter : listener, &shared);
	for (int i = 0; i < 4; i++) {
		pthread_join(t[i], &result);
		good = good && (i < 2 || !result);
	}
	errseq_set(&shared, -ENOSPC);
	return good && tell(&shared, &last) == -ENOSPC && !tell(&shared, &last);
}

int main(void)
{
	ok(each_hears_once(), "each listener hears of an error once");
	ok(late_hears_of_the_untold(), "who comes late hears of what nobody was told of");
	ok(news_is_news_again_when_told(), "an error is news if somebody was told of the last");
	ok(untold_is_known(), "untold is told from told");
	ok(calls_at_once_are_both_told(), "two calls through one cursor at once are both told");
	ok(cursor_does_not_go_back(), "a call that began early does not move the cursor back");
	ok(counter_wraps_without_an_error_of_zero(), "the counter wraps, the error stays");
	ok(agrees_with_model(), "a million steps agree with a list");
	ok(threads_agree(), "threads that set and are told lose nothing at the end");
	return host_done();
}
