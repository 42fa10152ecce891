DROP TABLE ven_flaws;
