// Package fetch fills a store from a hub: a plan that moves no byte, then
// parallel ranged requests that resume exactly where the last run stopped.
//
// It owns what lies between the two: which bytes are asked for, over how many
// connections, what happens when one breaks, stalls or crawls, and what happens
// when the content is not what the hub lists. It does not own the wire (package
// hub: redirects, expiring links, the check of every range answer) nor the disk
// (package store: parts, journal, digests, snapshots), and it knows nothing of
// models. It prints nothing: outcomes are [Event], progress is [Stats].
//
// # The engine
//
//	run(plan):
//		no space for what is missing: error, before the first byte
//		contents = files of the plan, each distinct content once
//		held in the store: reuse
//		small ones (not LFS, one part): GET, store.Put, some at a time
//		when the last of them has been asked for, the others, side by side:
//			openAll()
//			work() for each connection
//			steer()
//		write the snapshot, then what the branch stands at
//
//	openAll():                               // so few at a time that another process finds some
//		for each content, when the queue runs low:
//			open its store.Ingest, queue its missing parts, complete(job) beside
//			somebody else has it: later
//		wait for those; what somebody left behind is taken over
//
//	work():                                  // a connection
//		for run = queue.take():              // 1 to 16 missing parts in a row
//			until all its parts are in the file, or 8 failures without progress:
//				body = hub.OpenRange(all that is left of run)
//				for each part of run:        // others may cut its end off meanwhile
//					read 1 MiB into the connection's only buffer
//					queue.claim(part), or somebody was faster: throw it away
//					ingest.WritePart(part)
//				on failure: keep what came of the part, and go on behind it after
//					0 to 0.5, 1, 2 … 30 s, or what the hub asks for
//				paused: the same, without a failure
//
//	complete(job):
//		wait for its parts; ingest.Commit    // SHA-256 has followed behind
//		does not match: repair
//
//	repair(job):
//		parts that the disk changed after receipt: fetch them again
//		otherwise the line was wrong: fetch everything once more, in batches,
//			the parts of broken connections first; when a batch brought
//			anything new, see whether that was it, and stop
//		still wrong: the host sends other bytes than it lists
//
//	steer():
//		idle connections? let them take over what slow ones have not begun,
//			then the very part a slow one is reading (the first one wins)
//		otherwise, by what comes in a window (ramp):
//			at first, of 25 ms: twice or four times the connections while that pays
//			later, of 500 ms, after 8 to 64 s: a quarter more, kept if it brings more
//				than 10 %, or a quarter fewer, kept if nothing is lost
//			requests fail and bring nothing: one less
//
// A run is a few seconds at most, and towards the end so short that the last
// parts lie with all connections, end at about the same time, and leave SHA-256
// little to do. A [Control] pauses everything, or changes the number of
// connections, while it runs; a [Watch] shows its files, parts and connections to
// who samples them.
//
// # Guarantees
//
//   - Nothing is published that does not match the digest in the listing, and
//     the snapshot is written after every file was.
//   - A part that is in the file is not asked for again, in this run or a later
//     one, unless it turns out to be wrong. What a broken connection had of its
//     part is kept in memory and not asked for again either; a process that is
//     killed loses it: at most 1 MiB for each connection, and what the kernel had.
//   - Part boundaries depend on the file alone, so a run may be continued with
//     another number of connections.
//   - A content that several files share is fetched once.
//   - Memory: 1 MiB for each connection, and what the store needs: 1 MiB for each
//     file in progress. Nothing is allocated per part.
//   - Run returns when ctx ends, when it fails or when it is done, with all its
//     goroutines ended and every ingestion closed: resumable.
//   - [Stats].Done and Verified never fall.
//
// # Not guaranteed
//
//   - Order: parts land as they come. A file is of no use before it is published.
//   - That bytes cross the line once: a part may be read by two connections at
//     the end, and what a relieved connection had in the kernel's buffers is lost.
//   - Fairness among several fetchers; give them a common [Limiter] for a common
//     limit.
//   - Space: the disk is looked at before the first byte, and others may fill it
//     afterwards. Then the run waits for as long as it was told to, or fails with
//     store.ErrNoSpace, and is resumable.
//   - That several runs of one plan share the work evenly: a content is fetched by
//     one of them, and the last ones are waited for.
package fetch
