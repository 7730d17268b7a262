// Package queue tells workers what to look at now. It is the only home of Asynq, and of the Redis behind it: a server
// that the URI names, or one inside the process.
//
// What it holds are hints. A task carries ids and never data; all of it can vanish (FLUSHALL, a restart), be doubled or
// be forged, and the store, which is the truth, makes it good. So its errors never fail a request, its handlers never
// answer an error, and nothing delayed is kept in it.
//
//	q, err := queue.Open(ctx, queue.Options{})
//	go q.Serve(ctx, queue.Handlers{Run: take, Lane: work, Job: do})
//	q.EnqueueRun(ctx, "run_01k...", []string{"dlv_01k..."})
//
// Asynq polls. Short intervals cost a core's tenth when idle, long ones cost seconds; so its Redis client waits on its
// behalf until somebody says that there is work (see waiter): an enqueue in this process, or a message from another.
package queue
