"""HisToSGE, its ablations, and how networks are trained."""
