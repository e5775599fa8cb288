//! What a run of the model met.

/// What a run met: a model that meets nothing proves nothing.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Seen {
    pub(super) epochs: u64,
    pub(super) trims: u64,
    pub(super) restarts: u64,
    pub(super) reconnects: u64,
    pub(super) gaps: u64,
    pub(super) ahead: u64,
    pub(super) delivered: u64,
    pub(super) resets: u64,
    pub(super) demotions: u64,
    pub(super) hand_overs: u64,
    pub(super) trimmed_hand_overs: u64,
    pub(super) renewed_hand_overs: u64,
    pub(super) late_commits: u64,
    pub(super) roll_backs: u64,
    pub(super) pages_in_flight: u64,
    pub(super) shared_reads: u64,
    pub(super) full_sockets: u64,
    pub(super) naps: u64,
}

impl Seen {
    pub(super) fn add(&mut self, other: Self) {
        self.epochs += other.epochs;
        self.trims += other.trims;
        self.restarts += other.restarts;
        self.reconnects += other.reconnects;
        self.gaps += other.gaps;
        self.ahead += other.ahead;
        self.delivered += other.delivered;
        self.resets += other.resets;
        self.demotions += other.demotions;
        self.hand_overs += other.hand_overs;
        self.trimmed_hand_overs += other.trimmed_hand_overs;
        self.renewed_hand_overs += other.renewed_hand_overs;
        self.late_commits += other.late_commits;
        self.roll_backs += other.roll_backs;
        self.pages_in_flight += other.pages_in_flight;
        self.shared_reads += other.shared_reads;
        self.full_sockets += other.full_sockets;
        self.naps += other.naps;
    }
}
