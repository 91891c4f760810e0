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
//		the others: one store.Ingest each, and side by side
//			complete(job) for each one
//			work() for each connection
//			steer()
//		write the snapshot, then what the branch stands at
//
//	work():                                  // a connection
//		for run = queue.take():              // 1 to 16 missing parts in a row
//			until all its parts are in the file, or 8 failures without progress:
//				body = hub.OpenRange(all that is left of run)
//				for each part of run:        // others may cut its end off meanwhile
//					read 1 MiB into the connection's only buffer
//					queue.claim(part), or somebody was faster: throw it away
//					ingest.WritePart(part)
//				on failure: wait 0 to 0.5, 1, 2 … 30 s, or what the hub asks for
//
//	complete(job):
//		wait for its parts; ingest.Commit    // SHA-256 has followed behind
//		does not match: repair
//
//	repair(job):
//		parts that the disk changed after receipt: fetch them again
//		otherwise the line was wrong: fetch everything once more, in batches,
//			the parts of broken connections first; when a batch brought
//			anything new, see whether that was it
//		still wrong: the host sends other bytes than it lists
//
//	steer(), once a second:
//		idle connections? let them take over what slow ones have not begun,
//			then the very part a slow one is reading (the first one wins)
//		otherwise: one connection more while that brings more than 10 %,
//			one less when it did not or when requests failed
//
// A run has at most 16 parts, and at most half of a connection's share of what
// is queued, so the last parts lie with all connections and end at about the
// same time.
//
// # Guarantees
//
//   - Nothing is published that does not match the digest in the listing, and
//     the snapshot is written after every file was.
//   - A part that is in the file is not asked for again, in this run or a later
//     one, unless it turns out to be wrong. What a broken connection had of its
//     part is thrown away: at most 1 MiB for each connection.
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
//     afterwards. Then the run fails with store.ErrNoSpace and is resumable.
package fetch
