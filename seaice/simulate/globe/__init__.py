"""The invented globe below simulated radiometers: its ice, and how warm water and ice look."""
