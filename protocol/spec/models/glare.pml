/*
 * Simultaneous initiation (spec §5.7): two devices start up to two sessions
 * each, at any time and knowing whatever has reached them. The flights arrive
 * later, in any order. Afterwards both must send on the same session, and on
 * one of the newest generation.
 *
 * Sessions 0 and 1 are started by peer 0, sessions 2 and 3 by peer 1. Their
 * ids are random: every order of the four ids is tried.
 *
 *   default   the rule: highest generation, then lowest id
 *   -DLATEST  control: send on the session learned last
 *   -DNOGEN   control: lowest id alone, generations ignored
 *
 * expect pass: spin -run -safety glare.pml
 * expect error: spin -DLATEST -run -safety glare.pml
 * expect error: spin -DNOGEN -run -safety glare.pml
 */

#define STARTS 2
#define N 4

byte id[N];              /* session -> its id, 1..N */
byte gen[N];             /* session -> generation */
bool knows[8];           /* peer * N + session */
byte started[2];
byte current[2] = 255;   /* session to send on, 255: none */
chan net[2] = [N] of { byte };

inline decide(p, fresh) {
	d_step {
#ifdef LATEST
		current[p] = fresh;
#else
		current[p] = 255;
		k = 0;
		do
		:: k < N ->
			if
			:: knows[p * N + k] ->
				if
				:: current[p] == 255 -> current[p] = k
#ifndef NOGEN
				:: current[p] != 255 && gen[k] > gen[current[p]] -> current[p] = k
				:: current[p] != 255 && gen[k] == gen[current[p]] && id[k] < id[current[p]] -> current[p] = k
#else
				:: current[p] != 255 && id[k] < id[current[p]] -> current[p] = k
#endif
				:: else
				fi
			:: else
			fi;
			k++
		:: else -> break
		od;
		k = 0
#endif
	}
}

/* a session of one generation above all that the peer knows */
inline start(p) {
	s = p * STARTS + started[p];
	k = 0;
	do
	:: k < N ->
		if
		:: knows[p * N + k] && gen[k] > gen[s] -> gen[s] = gen[k]
		:: else
		fi;
		k++
	:: else -> break
	od;
	k = 0;
	gen[s]++;
	started[p]++;
	knows[p * N + s] = true;
	net[1 - p]!s;
	decide(p, s);
	s = 0
}

inline learn(p) {
	knows[p * N + s] = true;
	decide(p, s);
	s = 0
}

proctype Peer(byte me) {
	byte s, k;
end:
	do
	:: atomic { started[me] < STARTS -> start(me) }
	:: atomic { started[me] < STARTS -> started[me] = STARTS } /* no more */
	:: atomic { net[me]??[0] -> net[me]??0; s = 0; learn(me) }
	:: atomic { net[me]??[1] -> net[me]??1; s = 1; learn(me) }
	:: atomic { net[me]??[2] -> net[me]??2; s = 2; learn(me) }
	:: atomic { net[me]??[3] -> net[me]??3; s = 3; learn(me) }
	od
}

/* distinct ids in every order */
inline name(x) {
	do
	:: !used[1] -> id[x] = 1; used[1] = true; break
	:: !used[2] -> id[x] = 2; used[2] = true; break
	:: !used[3] -> id[x] = 3; used[3] = true; break
	:: !used[4] -> id[x] = 4; used[4] = true; break
	od
}

init {
	bool used[5];
	byte k, best;
	atomic {
		name(0); name(1); name(2); name(3);
		run Peer(0);
		run Peer(1)
	}
	timeout; /* nobody starts more and every flight has arrived */
	d_step {
		assert(current[0] == current[1]);
		do
		:: k < N ->
			if
			:: gen[k] > best -> best = gen[k]
			:: else
			fi;
			k++
		:: else -> break
		od;
		assert(best == 0 || gen[current[0]] == best)
	}
}
